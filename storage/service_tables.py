"""The table of the session service."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Document, Name


class OpenedSession(Base):
    """A session of the session service, until it is cleaned up."""

    __tablename__ = "service_sessions"
    __table_args__ = (
        UniqueConstraint("key", name="uq_service_sessions_key"),
        UniqueConstraint("tenant", "user_id", "slot", name="uq_service_sessions_slot"),
        Index("ix_service_sessions_end", "expires_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(Name(64))
    """The id that callers know; it cannot be guessed."""
    tenant: Mapped[str] = mapped_column(Name(64))
    user_id: Mapped[str] = mapped_column(Name(128))
    slot: Mapped[int | None]
    """Which of the user's few places it takes; None once it has ended. Keeps two that are opened at once
    from being one too many."""
    bot_id: Mapped[str] = mapped_column(Name(64))
    earlier: Mapped[list[dict[str, Any]]] = mapped_column(Document)
    remembers: Mapped[bool]
    details: Mapped[dict[str, Any]] = mapped_column(Document)
    """The caller's `meta_data`."""
    status: Mapped[str] = mapped_column(String(16))
    """active or terminated"""
    messages: Mapped[int]
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int] = mapped_column(BigInteger)
