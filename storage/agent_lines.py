"""An agent's line once it is said: by whom, and how it fares on its way to the customer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from errors import NotFound
from handler.handoff import Person
from handler.message import Picture
from storage.exchange_rows import digest
from storage.jobs import enqueue, late_key
from storage.models import Exchange, Job, Message

AGENT = "yingda.agent"
"""Key in an exchange's `raw`: who said it."""
QUOTA = ("wechat_45047", "wechat_45015")
"""Errors that the customer's next message mends: it lets us send some more."""
RIDES = (
    *QUOTA,
    "wechat_48001",
    "no AppSecret",
    "no response_url",
    "response_url: it was asked more",
)
"""Errors that only mean: it goes with the answer to the customer's next message."""
CARRIED_FOR_MS = 55 * 60 * 1000
"""How old a message may be whose return address is used; it is valid for an hour."""
State = Literal["queued", "sent", "failed", "in_doubt"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line that was said, and how it fares. `said_ms` in unix milliseconds."""

    message_id: int
    said_ms: int
    state: State = "queued"
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that an agent shows, and the address at which whoever knows it may fetch it.

    The address may lack the host, where ours is not known: enough for our own page only.
    """

    name: str
    picture: Picture
    url: str


def fate(exchange: Exchange, job: Job | None) -> tuple[State, str | None]:
    """How an agent's line fares, and why not better. Without quota it waits for the customer's next one."""
    if exchange.status == "delivered":
        return "sent", None
    if exchange.status == "undelivered":
        error = exchange.delivery_error or ""
        if error.startswith(RIDES):
            return "queued", error
        return "in_doubt" if error == "in_doubt" else "failed", error
    return "queued", job.error if job is not None else None


def address(session: Session, session_id: int, way: str | None, now: int) -> dict[str, Any]:
    """What a callback needs of the customer's last message: where to, and which dialogue of theirs."""
    if way != "callback":
        return {}
    latest = session.scalars(
        select(Exchange)
        .where(Exchange.session_id == session_id, func.coalesce(Exchange.source, "") != "agent")
        .order_by(Exchange.id.desc())
        .limit(1)
    ).first()
    if latest is None:
        return {}
    names = ["msg_id", "session_id", "business_keys"]
    if latest.created_ms >= now - CARRIED_FOR_MS:
        names.append("response_url")
    return {name: latest.raw.get(name) for name in names}


def exchange_said(session: Session, message_id: int) -> Exchange:
    """The exchange that brings an agent's line. `NotFound` when the line is none."""
    found = session.scalars(
        select(Exchange)
        .join(Message, Message.exchange_id == Exchange.id)
        .where(Message.id == message_id, Exchange.source == "agent")
    ).first()
    if found is None:
        raise NotFound("there is no such line of an agent's")
    return found


def key_of(session_id: int, who: Person | None = None, key: str = "") -> str:
    """The exchange's unique key: the same for the same `key` of this agent in this dialogue, else new."""
    name = who.username if who else ""
    return digest(f"agent\0{session_id}\0{name}\0{key}" if key else f"agent:{uuid.uuid4().hex}")


def put_back(session: Session, exchange: Exchange, kind: str, due_ms: int) -> None:
    """Lets the line's job run once more, as if for the first time."""
    fresh = {"status": "waiting", "owner": None, "due_ms": due_ms, "finished_ms": None, "tries": 0}
    known = Job.kind == kind, Job.key == late_key(exchange.id)
    session.execute(update(Job).where(*known).values(**fresh, error=None, payload={}))
    # a job that was done long ago is gone
    enqueue(session, kind, late_key(exchange.id), exchange_id=exchange.id)
