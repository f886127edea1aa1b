"""The table of canned replies."""

from __future__ import annotations

from sqlalchemy import BigInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Name, Words


class CannedReply(Base):
    """Words that agents say often, and the short word that calls them up."""

    __tablename__ = "canned_replies"
    __table_args__ = (UniqueConstraint("shortcut", name="uq_canned_replies_shortcut"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shortcut: Mapped[str] = mapped_column(Name(32))
    text: Mapped[str] = mapped_column(Words)
    updated_by: Mapped[str] = mapped_column(Name(64))
    updated_ms: Mapped[int] = mapped_column(BigInteger)
