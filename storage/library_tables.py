"""The tables of the Q&A library."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.columns import ON_MYSQL, Base, BigId, Document, Name, Words


class LibraryEntry(Base):
    """One answer and when to give it; see `handler.library.Draft` for what the fields mean."""

    __tablename__ = "library_entries"
    __table_args__ = (Index("ix_library_entries_revision", "revision"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    mode: Mapped[str] = mapped_column(String(16))
    answer: Mapped[str] = mapped_column(Words)
    priority: Mapped[int] = mapped_column(Integer)
    threshold: Mapped[int] = mapped_column(Integer)
    applies_to: Mapped[list[str]] = mapped_column(Document)
    valid_from_ms: Mapped[int | None] = mapped_column(BigInteger)
    valid_until_ms: Mapped[int | None] = mapped_column(BigInteger)
    enabled: Mapped[bool]
    tags: Mapped[list[str]] = mapped_column(Document)
    version: Mapped[int] = mapped_column(Integer)
    """Counts the entry's changes; who saves says which one they saw."""
    revision: Mapped[int] = mapped_column(BigInteger)
    """The library's number at the entry's last change."""
    created_by: Mapped[str] = mapped_column(Name(64))
    updated_by: Mapped[str] = mapped_column(Name(64))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)

    phrasings: Mapped[list[LibraryPhrasing]] = relationship(
        order_by="LibraryPhrasing.place", lazy="selectin", cascade="all, delete-orphan"
    )
    use: Mapped[LibraryUse] = relationship(lazy="selectin", cascade="all, delete-orphan")


class LibraryPhrasing(Base):
    """One way to put an entry's question."""

    __tablename__ = "library_phrasings"
    __table_args__ = (
        Index("ix_library_phrasings_entry", "entry_id", "place"),
        Index("ix_library_phrasings_same", "same"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("library_entries.id"))
    place: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Words)
    same: Mapped[str] = mapped_column(String(64))
    """SHA-256 of `handler.library.same_key`: equal for phrasings that would be in each other's way."""


class LibraryUse(Base):
    """How often an entry has answered. Apart from the entry: counting must not wait for who edits it."""

    __tablename__ = "library_use"
    __table_args__ = (ON_MYSQL,)

    entry_id: Mapped[int] = mapped_column(
        ForeignKey("library_entries.id"), primary_key=True, autoincrement=False
    )
    hits: Mapped[int] = mapped_column(BigInteger)
    last_hit_ms: Mapped[int | None] = mapped_column(BigInteger)


class LibraryState(Base):
    """One row: the number of changes so far. Every writer raises it first, so writers go one by one."""

    __tablename__ = "library_state"
    __table_args__ = (ON_MYSQL,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(BigInteger)
