"""The table of pictures that no platform keeps for us."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from storage.columns import ON_MYSQL, Base, Name


class Bytes(TypeDecorator[bytes]):
    """The content of a file."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name not in {"mysql", "mariadb"}:
            return super().load_dialect_impl(dialect)
        from sqlalchemy.dialects.mysql import MEDIUMBLOB  # as in storage/columns.py

        # BLOB ends at 64 KiB
        return dialect.type_descriptor(MEDIUMBLOB())


class KeptPicture(Base):
    """A picture that an agent sent, or that a customer uploaded to us. Lives for thirty days."""

    __tablename__ = "pictures"
    __table_args__ = (ON_MYSQL,)

    name: Mapped[str] = mapped_column(Name(48), primary_key=True)
    """Random: who knows it may see the picture."""
    session_id: Mapped[int | None] = mapped_column(ForeignKey("sessions.id"), index=True)
    """The dialogue it was sent to; None for an upload, which comes before its message."""
    mime: Mapped[str] = mapped_column(String(32))
    content: Mapped[bytes] = mapped_column(Bytes)
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)
