"""What flows through the gateway: a message in, deltas and one reply out.

Nothing of ours is imported here, so that every other part may import this.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "image", "voice", "video", "file", "location", "link", "event", "leave"]
"""`leave`: the customer is gone for good, and what is known of them is to be forgotten."""
Source = Literal[
    "coze", "library", "command", "agent", "system", "merged", "fallback", "rest", "queue", "desk"
]
"""`queue` and `desk`: nobody answers, because the customer waits for a person or talks with one."""
MANUAL: Mapping[str, str] = {"queue": "pending_manual", "desk": "manual_live"}
"""The state of a dialogue in which a reply of this source was given."""
Via = Literal["passive", "stream", "sync", "push", "fetch", "callback"]
Role = Literal["user", "assistant", "agent", "system"]


@dataclass(frozen=True, slots=True)
class Media:
    """Something that is not text: `id` is the platform's handle, `url` where the platform serves it."""

    kind: Kind
    id: str = ""
    url: str = ""
    name: str = ""
    mime: str = ""
    file_id: str = ""
    """Coze's id of the uploaded content; empty until it is there."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of a picture, and what they are by their beginning (`image/png`)."""

    content: bytes = field(repr=False)
    mime: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a dialogue: who said what. `said_ms` in unix milliseconds, 0 when nobody knows."""

    role: Role
    text: str
    said_ms: int = 0


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One customer message, whatever platform it came from."""

    platform: str
    """Name of the adapter: `wechat`, `yishiting`, `web`, …"""
    account: str
    """Which of our accounts on that platform was written to."""
    user: str
    """The platform's id of the writer (an openid, a login name); unique within the account."""
    dedupe_key: str
    """Equal for every delivery of the same message, different for different messages."""
    text: str
    """The customer's words, or what we say to the bot about a message without words."""
    session: str = ""
    """The dialogue this belongs to; one Coze conversation each. Empty means the user's own."""
    newest: bool = False
    """It belongs to the user's newest dialogue, which the claim finds; `session` is for users without one."""
    kind: Kind = "text"
    media: tuple[Media, ...] = ()
    sent_at: float = 0.0
    """Unix seconds by the platform's clock; 0 when it does not say."""
    reply_by: float | None = None
    """`time.monotonic()` at which the platform stops listening; None when it waits for ever."""
    raw: Mapping[str, object] = field(default_factory=dict)
    """The platform's own fields for the log, secrets already masked."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """The caller's own values for the bot's workflow, by name."""
    request_id: str = ""
    """Ties log lines, the exchange row and Coze's `meta_data` together."""
    earlier: tuple[Line, ...] = ()
    """What was said before the dialogue came to us; told to the bot where it remembers nothing yet."""
    later: Literal["push", "callback"] | None = None
    """How the answer can be brought once the request is over; None when the platform has no such way."""

    @property
    def dialogue(self) -> str:
        return self.session or self.user

    def seconds_left(self) -> float | None:
        """Seconds until `reply_by`, never negative; None when there is no deadline."""
        return None if self.reply_by is None else max(0.0, self.reply_by - time.monotonic())


@dataclass(frozen=True, slots=True)
class Doc:
    """A document the bot's knowledge base recalled for this answer."""

    doc_id: str
    title: str = ""
    url: str = ""
    space_id: str = ""
    score: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as Coze counted them."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The final answer. With `error` set, `text` is the apology that the customer may read."""

    text: str
    source: Source
    docs: tuple[Doc, ...] = ()
    suggestions: tuple[str, ...] = ()
    usage: Usage | None = None
    error: str | None = None
    """A short machine-readable cause (`coze_4016`, `coze_timeout`, …); None when all went well."""
    truncated: bool = False
    """The upstream broke off: `text` is what arrived before."""
    library_id: int | None = None
    """The entry of the Q&A library that this is the answer of."""
    reasoning: str = ""
    """A thinking model's thoughts; kept for the log, never sent to a customer by default."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Messages that may be sent to a user of our own accord, taken from the platform's quota."""

    taken: tuple[tuple[str, int, int], ...] = ()
    """What opened each window, the unix milliseconds at which it did, and how many came from it."""

    @property
    def count(self) -> int:
        return sum(number for _, _, number in self.taken)


@dataclass(frozen=True, slots=True)
class VisitorEvent:
    """What a customer's open page learns without having asked: an agent's words, a change of status."""

    id: int
    """Grows within a dialogue: whoever has seen one has seen all before it."""
    kind: str
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BotProfile:
    """How the bot introduces itself; empty where it says nothing."""

    name: str
    description: str = ""
    icon_url: str = ""
    welcome: str = ""
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LateReply:
    """A finished answer whose request is over; what an adapter's `push` gets."""

    exchange_id: int
    trace_id: str
    platform: str
    account: str
    user: str
    question: str
    reply: Reply
    asked_ms: int
    """Unix milliseconds at which the message was claimed."""
    raw: Mapping[str, object]
    pictures: tuple[Media, ...] = ()
    """What an agent shows; `id` is the picture's name with us. The reply's text says the same in words."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Whose dialogue is meant: the four parts of its key."""

    platform: str
    account: str
    user: str
    session: str


@dataclass(frozen=True, slots=True)
class Called:
    """What came of asking for a person."""

    outcome: Literal["queued", "waiting", "live", "full", "after_hours"]
    words: str
    """What the customer reads."""
    place: int
    """In the queue, 1 is the first; 0 for who does not wait."""
    online: bool
    """Whether people are there."""


@dataclass(frozen=True, slots=True)
class ServiceSession:
    """A session that a caller of the session service opened. Moments are unix milliseconds."""

    id: str
    tenant: str
    """Whose caller opened it; nobody else sees it."""
    user: str
    bot_id: str
    """The bot that the caller wished for; empty when it named none."""
    earlier: tuple[Line, ...]
    remembers: bool
    """Whether one message may draw on those before it."""
    metadata: Mapping[str, object]
    status: Literal["active", "terminated"]
    messages: int
    created_ms: int
    updated_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class ServiceChat:
    """One message of a session and its answer, None until there is one. Moments are unix milliseconds."""

    id: str
    session: str
    exchange_id: int
    question: str
    reply: Reply | None
    created_ms: int
    answered_ms: int | None


@dataclass(frozen=True, slots=True)
class ServiceStats:
    """What the session service holds right now, of one tenant."""

    active: int
    ended: int
    """Expired or terminated, and not cleaned up yet."""
    users: int
    """Who have an active session."""
    messages: int
    """Of the active sessions."""


NoticeState = Literal["waiting", "sending", "sent", "failed", "in_doubt"]


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to a customer that answers nothing, such as an order's state; sent by a job."""

    id: int
    platform: str
    account: str
    key: str
    """The caller's own name for it: the same key is the same notice."""
    content: Mapping[str, Any]
    """What to send, in the platform's terms."""
    state: NoticeState
    tries: int
    error: str | None
    """Why it was not sent, or not yet."""
    message_id: str
    """What the platform calls it; empty until it is sent."""
    created_ms: int
    finished_ms: int | None


def remainder(streamed: str, reply: Reply) -> str:
    """What a reader that already has `streamed` still lacks.

    Empty when the final text went another way: what was said cannot be taken back, and saying it all again
    would be worse than the small difference.
    """
    return reply.text.removeprefix(streamed) if reply.text.startswith(streamed) else ""
