"""The tables of the desk's people: accounts, sign-ins, attempts, the audit, and what agents learn at once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Document, Name

SUBJECT_LENGTH = 128


class DeskAgent(Base):
    """An account of the desk. It is never deleted: sessions and the audit go on naming it."""

    __tablename__ = "agents"
    __table_args__ = (UniqueConstraint("username", name="uq_agents_username"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    username: Mapped[str] = mapped_column(Name(64))
    name: Mapped[str] = mapped_column(Name(64))
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(255))
    enabled: Mapped[bool]
    status: Mapped[str] = mapped_column(String(16))
    """What the agent chose; what counts is `Account.status`, which knows about silence."""
    max_sessions: Mapped[int]
    avatar_url: Mapped[str] = mapped_column(String(500))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    last_login_ms: Mapped[int | None] = mapped_column(BigInteger)
    heartbeat_ms: Mapped[int | None] = mapped_column(BigInteger)


class AgentLogin(Base):
    """One sign-in and the tokens that descend from it: revoking the row revokes them all."""

    __tablename__ = "agent_logins"
    __table_args__ = (
        Index("ix_agent_logins_agent", "agent_id"),
        Index("ix_agent_logins_end", "expires_ms"),
        ON_MYSQL,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Random; stands in every token of the family."""
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    kind: Mapped[str] = mapped_column(String(16))
    device: Mapped[str] = mapped_column(Name(128))
    generation: Mapped[int]
    """Number of the only refresh token that may be used next."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    renewed_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int] = mapped_column(BigInteger)
    revoked_ms: Mapped[int | None] = mapped_column(BigInteger)


class SignInAttempts(Base):
    """Failed attempts in a row, of one user name or one address."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        UniqueConstraint("subject", name="uq_sign_in_attempts_subject"),
        Index("ix_sign_in_attempts_time", "last_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subject: Mapped[str] = mapped_column(Name(SUBJECT_LENGTH))
    failures: Mapped[int]
    last_ms: Mapped[int] = mapped_column(BigInteger)
    until_ms: Mapped[int] = mapped_column(BigInteger)
    """Nothing is tried before this moment; 0: at once."""


class AuditEntry(Base):
    """One thing somebody did. Rows are only ever added: see storage/audit.py."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_actor", "actor", "id"),
        Index("ix_audit_target", "target", "id"),
        Index("ix_audit_time", "at_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(Name(64))
    action: Mapped[str] = mapped_column(String(48))
    target: Mapped[str] = mapped_column(Name(128))
    detail: Mapped[dict[str, Any]] = mapped_column(Document)
    request_id: Mapped[str] = mapped_column(Name(64))
    address: Mapped[str] = mapped_column(Name(64))


class AgentEvent(Base):
    """Something an agent's open page should learn at once."""

    __tablename__ = "agent_events"
    __table_args__ = (
        Index("ix_agent_events_agent", "agent_id", "id"),
        Index("ix_agent_events_time", "created_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    """Grows in the order of commits: the last one seen is a place to go on from."""
    agent_id: Mapped[int] = mapped_column(BigInteger)
    """0: for every agent."""
    kind: Mapped[str] = mapped_column(String(32))
    payload: Mapped[dict[str, Any]] = mapped_column(Document)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class AgentEventOrder(Base):
    """One row, whose lock puts the writers of `agent_events` in order."""

    __tablename__ = "agent_event_order"
    __table_args__ = (ON_MYSQL,)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    written_ms: Mapped[int] = mapped_column(BigInteger)
