"""The table of visitor events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Document


class VisitorEvent(Base):
    """Something a customer's open page should learn at once: an agent's words, a change of status."""

    __tablename__ = "visitor_events"
    __table_args__ = (
        Index("ix_visitor_events_session", "session_id", "id"),
        Index("ix_visitor_events_time", "created_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    """Grows within a dialogue in the order of commits: the last one seen is a place to go on from."""
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    kind: Mapped[str] = mapped_column(String(32))
    payload: Mapped[dict[str, Any]] = mapped_column(Document)
    created_ms: Mapped[int] = mapped_column(BigInteger)
