"""The tables of exchanges, jobs and tokens; other aggregates keep theirs in files of their own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import ON_MYSQL, Base, BigId, Document, Name, Words


class DialogueSession(Base):
    """One dialogue: a user of one of our accounts, and the Coze conversation that remembers it."""

    __tablename__ = "sessions"
    __table_args__ = (
        UniqueConstraint("platform", "account", "user_id", "session_key", name="uq_sessions_who"),
        Index("ix_sessions_key", "session_key"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    platform: Mapped[str] = mapped_column(Name(32))
    account: Mapped[str] = mapped_column(Name(64))
    user_id: Mapped[str] = mapped_column(Name(128))
    session_key: Mapped[str] = mapped_column(Name(128))
    conversation_id: Mapped[str | None] = mapped_column(Name(64))
    """Coze's id, always the one it answered with; None before the first chat and after a reset."""
    conversation_owner: Mapped[str | None] = mapped_column(Name(64))
    """The `session_name` whose token made the conversation: no other token can read it."""
    claims: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """How often a message of this dialogue was claimed; who finds it changed knows that one came between."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)


class Exchange(Base):
    """One customer message and what became of it: claimed → running → answered → delivered | undelivered."""

    __tablename__ = "exchanges"
    __table_args__ = (
        UniqueConstraint("platform", "account", "dedupe_key", name="uq_exchanges_message"),
        Index("ix_exchanges_time", "created_ms", "id"),
        Index("ix_exchanges_platform_time", "platform", "created_ms", "id"),
        Index("ix_exchanges_user_time", "user_id", "created_ms", "id"),
        Index("ix_exchanges_key_time", "session_key", "created_ms", "id"),
        Index("ix_exchanges_status_time", "status", "created_ms", "id"),
        Index("ix_exchanges_source_time", "source", "created_ms", "id"),
        Index("ix_exchanges_error_time", "error_code", "created_ms"),
        Index("ix_exchanges_session", "session_id", "id"),
        # where a database can, of those only that are not delivered: few of a long dialogue. The migration
        # says so, for here it would load the dialects of databases that are not used
        Index("ix_exchanges_open", "session_id"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    trace_id: Mapped[str] = mapped_column(Name(64), index=True)
    """The request id: in our log lines, in Coze's `meta_data`, and given to callers as their trace."""
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    platform: Mapped[str] = mapped_column(Name(32))
    account: Mapped[str] = mapped_column(Name(64))
    user_id: Mapped[str] = mapped_column(Name(128))
    session_key: Mapped[str] = mapped_column(Name(128))
    dedupe_key: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the adapter's key, so that any platform's ids fit the unique index."""
    kind: Mapped[str] = mapped_column(String(16))
    question: Mapped[str] = mapped_column(Words)
    raw: Mapped[dict[str, Any]] = mapped_column(Document)
    media: Mapped[list[dict[str, Any]] | None] = mapped_column(Document)
    """What the message carries besides words, so that whoever takes it over can fetch it, too."""

    status: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str | None] = mapped_column(String(64))
    """The process that works on it; None once answered."""
    lease_ms: Mapped[int] = mapped_column(BigInteger)
    """Until when that process is believed alive."""
    attempts: Mapped[int] = mapped_column(Integer)
    """Deliveries of this message by the platform; WeChat makes up to three."""
    coze_calls: Mapped[int] = mapped_column(Integer)

    answer: Mapped[str | None] = mapped_column(Words)
    source: Mapped[str | None] = mapped_column(String(16))
    library_id: Mapped[int | None] = mapped_column(BigInteger)
    """The entry of the Q&A library that answered; it may have been deleted since."""
    error_code: Mapped[str | None] = mapped_column(Name(64))
    truncated: Mapped[bool]
    docs: Mapped[list[dict[str, Any]]] = mapped_column(Document)
    suggestions: Mapped[list[str]] = mapped_column(Document)
    conversation_id: Mapped[str | None] = mapped_column(Name(64))
    chat_id: Mapped[str | None] = mapped_column(Name(64))
    logid: Mapped[str | None] = mapped_column(Name(64))
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    first_delta_ms: Mapped[int | None]
    """Milliseconds from the claim to the first piece of the answer."""
    total_ms: Mapped[int | None]
    """Milliseconds from the claim to the whole answer."""

    later: Mapped[str | None] = mapped_column(String(16))
    """The job kind that will carry the answer, promised when the platform was told to wait no longer."""
    delivery: Mapped[str | None] = mapped_column(String(16))
    """How it reached the customer: passive, stream, sync, push, fetch or callback; set once."""
    delivery_error: Mapped[str | None] = mapped_column(Name(64))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    answered_ms: Mapped[int | None] = mapped_column(BigInteger)
    delivered_ms: Mapped[int | None] = mapped_column(BigInteger)


class Message(Base):
    """One line of a dialogue's transcript, whoever said it."""

    __tablename__ = "messages"
    __table_args__ = (Index("ix_messages_session", "session_id", "id"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    exchange_id: Mapped[int | None] = mapped_column(ForeignKey("exchanges.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    """user, assistant, agent or system"""
    text: Mapped[str] = mapped_column(Words)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class Job(Base):
    """Work to be done outside a request, written in the transaction that caused it.

    waiting → running → done | waiting again | failed; `sending` marks the moment from which a crash leaves
    it `in_doubt`: the platform may or may not have got it, and no repetition is safe.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("kind", "key", name="uq_jobs_work"),
        Index("ix_jobs_due", "status", "due_ms"),
        Index("ix_jobs_lease", "status", "lease_ms"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(Name(128))
    """Makes the same work one row, however often it is asked for."""
    exchange_id: Mapped[int | None] = mapped_column(ForeignKey("exchanges.id"), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(Document)
    status: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str | None] = mapped_column(String(64))
    lease_ms: Mapped[int] = mapped_column(BigInteger)
    due_ms: Mapped[int] = mapped_column(BigInteger)
    tries: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Name(191))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    finished_ms: Mapped[int | None] = mapped_column(BigInteger)


class Token(Base):
    """A platform's access token or ticket, shared by every process of every host."""

    __tablename__ = "tokens"
    __table_args__ = (ON_MYSQL,)

    name: Mapped[str] = mapped_column(Name(128), primary_key=True)
    """Platform, account and kind, as `wechat:default:access_token`."""
    value: Mapped[str] = mapped_column(Words)
    expires_ms: Mapped[int] = mapped_column(BigInteger)
    refresher: Mapped[str | None] = mapped_column(String(64))
    """The process that is fetching a new one; the others use the old one or wait."""
    refresh_until_ms: Mapped[int] = mapped_column(BigInteger)
