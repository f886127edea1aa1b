"""What an exchange's row says: the words for its states, and its columns as the handler's values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import Row

from handler.message import MANUAL, Doc, InboundMessage, Line, Reply, Source, Usage, Via
from storage.models import Exchange
from storage.statements import unattended

if TYPE_CHECKING:
    from storage.standing import Standing

UNFINISHED = ("claimed", "running")
FINAL = ("answered", "delivered", "undelivered")
BY_STATUS = ("INDEXED BY ix_exchanges_status_time", "sqlite")
"""Hint for a search of the unfinished: they are few, but SQLite's statistics know only how many rows a status
has on average, and its planner would read the whole log."""
EARLIER, PARAMETERS = "yingda.earlier", "yingda.parameters"
"""Keys in `raw`, beside the platform's own fields."""
ERASED = "erased"
"""`delivery_error` of an answer whose customer left before it reached them."""
WITHHELD = "withheld"
"""`delivery_error` of an answer that came when a person had the dialogue."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who answers: `won` says it is us. `attempt` counts this platform delivery, beginning with 1."""

    exchange: Exchange
    won: bool
    attempt: int
    standing: Standing | None = None
    """Where the dialogue stood when the message was claimed; None when that must be looked for."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds since the claim."""

    first_delta: int | None
    total: int


class Wanted(NamedTuple):
    """A message that `owner` wants to answer; it is believed alive for `lease_ms` without a sign of life."""

    message: InboundMessage
    owner: str
    lease_ms: int


class Names(NamedTuple):
    """Coze's ids for what it does; None where one is not known."""

    conversation_id: str | None
    chat_id: str | None
    logid: str | None
    conversation_owner: str | None
    """Whom the conversation belongs to, when the dialogue has to remember it."""


NAMELESS = Names(None, None, None, None)


class Note(NamedTuple):
    """What a run learns about its exchange before there is an answer; only `owner` may write it."""

    exchange_id: int
    owner: str
    calls: int = 0
    """Calls to Coze to be counted: 1 before one is made, 0 for the one that the claim has counted, -1 for one
    that began nothing."""
    conversation_id: str | None = None
    chat_id: str | None = None
    logid: str | None = None
    conversation_owner: str | None = None


class Given(NamedTuple):
    """The answer to an exchange that `owner` has."""

    exchange_id: int
    owner: str
    reply: Reply
    timing: Timing
    via: Via | None = None
    """How a reader who waits for it gives it to the customer at once; None when nobody is there."""
    unless_owned: bool = False
    """Only while no person has the dialogue, or is waited for."""
    uncalled: int = 0
    """Calls to Coze that were counted and not made."""
    conversation_id: str | None = None
    chat_id: str | None = None
    logid: str | None = None
    conversation_owner: str | None = None


Outcome = Literal["", "owned", "answered", "delivered"]
"""What became of a `Given`: nothing, because the exchange is lost or because a person has the dialogue; or it
is written, and perhaps delivered with it."""


def claimed(wanted: Wanted, now: int) -> dict[str, Any]:
    """The columns of a new exchange, without its dialogue's number."""
    message = wanted.message
    return {
        "trace_id": message.request_id,
        "platform": message.platform,
        "account": message.account,
        "user_id": message.user,
        "session_key": message.dialogue,
        "dedupe_key": digest(message.dedupe_key),
        "kind": message.kind,
        "question": message.text,
        "raw": _raw(message),
        "media": [asdict(each) for each in message.media],
        "status": "claimed",
        "owner": wanted.owner,
        "lease_ms": now + wanted.lease_ms,
        "attempts": 1,
        # the first one is counted before anybody knows whether it will be made: it needs no statement then
        "coze_calls": 1,
        "truncated": False,
        "docs": [],
        "suggestions": [],
        "created_ms": now,
    }


def answered(reply: Reply, timing: Timing, now: int) -> dict[str, Any]:
    """The columns that an answer changes, besides those of its delivery."""
    usage = reply.usage or Usage()
    return {
        "owner": None,
        "answer": reply.text,
        "source": reply.source,
        "library_id": reply.library_id,
        "error_code": reply.error,
        "truncated": reply.truncated,
        "docs": [asdict(doc) for doc in reply.docs],
        "suggestions": list(reply.suggestions),
        "input_tokens": usage.input_tokens if reply.usage else None,
        "output_tokens": usage.output_tokens if reply.usage else None,
        "first_delta_ms": timing.first_delta,
        "total_ms": timing.total,
        "answered_ms": now,
    }


def is_said(reply: Reply) -> bool:
    """Whether the reply is a line of the dialogue; what says only that a person will answer is none."""
    return bool(reply.text) and reply.source not in MANUAL


def exchange_of(row: Row[Any]) -> Exchange:
    """The row as an object that no session looks after."""
    return unattended(Exchange, row._mapping)


def reply_of(exchange: Exchange) -> Reply | None:
    """The reply as stored; None while there is none. What a reader in another process gets."""
    if exchange.status not in FINAL:
        return None
    usage = None
    if exchange.input_tokens is not None:
        usage = Usage(exchange.input_tokens, exchange.output_tokens or 0)
    source: Source = exchange.source or "system"  # type: ignore[assignment] # written by `answer` only
    return Reply(
        text=exchange.answer or "",
        source=source,
        docs=tuple(Doc(**doc) for doc in exchange.docs),
        suggestions=tuple(exchange.suggestions),
        usage=usage,
        error=exchange.error_code,
        truncated=exchange.truncated,
        library_id=exchange.library_id,
    )


def earlier_of(exchange: Exchange) -> tuple[Line, ...]:
    """What was said before the dialogue came to us, as it was claimed with the message."""
    found = exchange.raw.get(EARLIER)
    # a platform's own field of that name, should one ever come, is a string
    return tuple(Line(**each) for each in found) if isinstance(found, list) else ()


def parameters_of(exchange: Exchange) -> Mapping[str, object]:
    """The workflow's inputs that came with the message."""
    found = exchange.raw.get(PARAMETERS)
    return found if isinstance(found, dict) else {}


def digest(key: str) -> str:
    """The dedupe key as stored: 64 hex digits whatever the platform sent."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _raw(message: InboundMessage) -> dict[str, object]:
    """The platform's fields, and what a process that takes the message over needs besides its words."""
    own: dict[str, object] = {}
    if message.earlier:
        own[EARLIER] = [asdict(each) for each in message.earlier]
    if message.parameters:
        own[PARAMETERS] = dict(message.parameters)
    return {**message.raw, **own}
