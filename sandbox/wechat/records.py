"""What the local WeChat keeps of the API side, and the faults that can be switched on there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sandbox.wechat.outcome import Bubble


class Verification(NamedTuple):
    """The answer to the handshake; `ok` when it is exactly the echostr with status 200."""

    status: int
    body: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """One customer-service message that the API accepted."""

    openid: str
    bubble: Bubble
    body: Mapping[str, object]
    """The request's JSON as it came."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One accepted call of the typing indicator."""

    openid: str
    command: Literal["Typing", "CancelTyping"]
    at: float


@dataclass(frozen=True, slots=True)
class Stored:
    """A temporary file."""

    data: bytes
    mime: str
    at: float


@dataclass(slots=True)
class Faults:
    """What the API does wrong while set. Change the fields at any time."""

    token_delay: float = 0.0
    """Seconds before a token request is answered."""
    token_html: bool = False
    """Token requests are answered with a gateway's HTML page."""
    send_delay: float = 0.0
    """custom/send delivers at once but answers so many seconds later: the caller cannot know."""
    errcodes: dict[str, list[int]] = field(default_factory=dict)
    """What the next calls of a path answer, one each; 0 lets one pass."""
    send_errcodes: list[int] = field(default_factory=list)
    """What the next calls of custom/send answer, one each, whatever they ask."""
