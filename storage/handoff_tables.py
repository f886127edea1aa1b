"""The tables of the support desk's sessions: who has which dialogue, and everything that happened to it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Document, Name, Words


class Handoff(Base):
    """A dialogue that was with a person once, or asked for one; handler/handoff.py has its states."""

    __tablename__ = "handoffs"
    __table_args__ = (
        UniqueConstraint("session_id", name="uq_handoffs_session"),
        Index("ix_handoffs_queue", "status", "pending_ms"),
        Index("ix_handoffs_agent", "agent_username", "status"),
        Index("ix_handoffs_time", "updated_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(32))
    revision: Mapped[int] = mapped_column(Integer)
    """Grows with every change: of two that saw the same one, the first wins."""
    agent_id: Mapped[int | None] = mapped_column(BigInteger)
    agent_username: Mapped[str | None] = mapped_column(Name(64))
    """Who has it, or while it waits, who is to take it."""
    agent_name: Mapped[str | None] = mapped_column(Name(128))
    reason: Mapped[str | None] = mapped_column(String(16))
    details: Mapped[str] = mapped_column(Words)
    severity: Mapped[str | None] = mapped_column(String(8))
    vip: Mapped[bool]
    urgent: Mapped[bool]
    times: Mapped[int] = mapped_column(Integer)
    """How often a person was called."""
    trigger_ms: Mapped[int | None] = mapped_column(BigInteger)
    pending_ms: Mapped[int | None] = mapped_column(BigInteger)
    """Since when the customer waits; kept afterwards, for the statistics."""
    assigned_ms: Mapped[int | None] = mapped_column(BigInteger)
    live_ms: Mapped[int | None] = mapped_column(BigInteger)
    ended_ms: Mapped[int | None] = mapped_column(BigInteger)
    agent_ms: Mapped[int | None] = mapped_column(BigInteger)
    """When the agent last did something here."""
    customer_ms: Mapped[int | None] = mapped_column(BigInteger)
    """When the customer last wrote while it was with a person."""
    mail_to: Mapped[str] = mapped_column(Words)
    mail_ms: Mapped[int | None] = mapped_column(BigInteger)
    told_until: Mapped[int] = mapped_column(BigInteger)
    """The last line of the transcript that the bot need not be told of any more."""
    tell_until: Mapped[int] = mapped_column(BigInteger)
    """Up to which line a job tells the bot; equal to `told_until` when it is done."""
    rating: Mapped[int | None] = mapped_column(Integer)
    rating_open: Mapped[bool]
    """Whether the customer's next message may be a rating."""
    tags: Mapped[list[str]] = mapped_column(Document)
    email: Mapped[str] = mapped_column(Name(254), server_default="")
    """Where the customer can be written to; empty when nobody knows."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)


class HandoffStep(Base):
    """One thing that was done to a dialogue, never changed afterwards."""

    __tablename__ = "handoff_steps"
    __table_args__ = (
        Index("ix_handoff_steps_session", "session_id", "id"),
        Index("ix_handoff_steps_action", "action", "created_ms"),
        Index("ix_handoff_steps_time", "created_ms", "id"),
        Index("ix_handoff_steps_actor", "actor", "created_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    actor: Mapped[str] = mapped_column(Name(64))
    """An agent's username; `customer`; `system`."""
    action: Mapped[str] = mapped_column(String(32))
    from_status: Mapped[str] = mapped_column(String(32))
    to_status: Mapped[str] = mapped_column(String(32))
    details: Mapped[dict[str, Any]] = mapped_column(Document)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class TransferRequest(Base):
    """An agent asks another to take a session over: pending → accepted | declined | withdrawn."""

    __tablename__ = "transfer_requests"
    __table_args__ = (
        Index("ix_transfer_requests_target", "to_username", "status"),
        Index("ix_transfer_requests_session", "session_id", "status"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    from_username: Mapped[str] = mapped_column(Name(64))
    to_username: Mapped[str] = mapped_column(Name(64))
    to_name: Mapped[str] = mapped_column(Name(128))
    reason: Mapped[str] = mapped_column(Words)
    note: Mapped[str] = mapped_column(Words)
    status: Mapped[str] = mapped_column(String(16))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    answered_ms: Mapped[int | None] = mapped_column(BigInteger)


class HandoffNote(Base):
    """What agents write for each other; no customer and no bot reads it."""

    __tablename__ = "handoff_notes"
    __table_args__ = (Index("ix_handoff_notes_session", "session_id", "id"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    username: Mapped[str] = mapped_column(Name(64))
    name: Mapped[str] = mapped_column(Name(128))
    text: Mapped[str] = mapped_column(Words)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class QueueDoor(Base):
    """One row, locked by whoever puts a customer into the queue: two at once cannot be one too many."""

    __tablename__ = "queue_door"
    __table_args__ = (ON_MYSQL,)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    passed: Mapped[int] = mapped_column(BigInteger)
