"""What web pages and servers send, and what they get."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from adapters.base import KEY
from adapters.shape import Shape

MESSAGE_ID = f"^{KEY}$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
MessageId = Annotated[str, StringConstraints(pattern=MESSAGE_ID)]


class Question(Shape):
    """A visitor's message. Fields of older clients that mean nothing here are tolerated."""

    message: str = Field("", max_length=4000)
    user_id: Name | None = None
    conversation_id: str | None = Field(None, max_length=128)
    message_id: MessageId | None = None
    """Chosen by the sender: the same one again joins the answer instead of asking twice."""
    parameters: dict[str, JsonValue] | None = Field(None, max_length=50)
    files: list[Annotated[str, StringConstraints(max_length=2000)]] = Field(
        default_factory=list, max_length=5
    )
    """Tokens from `POST /api/files`."""


class Answer(Shape):
    """The answer, or with `success` false what may be shown instead."""

    success: bool
    message: str | None = None
    error: str | None = None
    detail: str | None = None
    """The same, where older clients look for it when a person has the dialogue."""
    user_id: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    suggestions: list[str] | None = None
    trace_id: str | None = None


class Again(Shape):
    """Which answer to go on with. `Last-Event-ID` says it better than `offset`."""

    message_id: MessageId | None = None
    offset: int = Field(0, ge=0, le=10_000_000)
    user_id: Name | None = None
    token: str | None = Field(None, max_length=4000)
    """The visitor's token, for an EventSource, which sends no headers."""


class Listener(Shape):
    """Whose events to follow, and from where on; without `after`, from now on."""

    conversation_id: str | None = Field(None, max_length=128)
    after: int | None = Field(None, ge=0, le=2**62)
    user_id: Name | None = None
    token: str | None = Field(None, max_length=4000)


class Beginning(Shape):
    """Who begins a conversation; left out, we make a name."""

    session_id: Name | None = None


class Begun(Shape):
    """A conversation without memory, and the token that proves who its visitor is."""

    success: Literal[True] = True
    conversation_id: str
    session_id: str
    token: str | None = None
    expires_in: int | None = None
    """Seconds for which the token is valid."""


class Profile(Shape):
    name: str
    description: str
    icon_url: str
    welcome: str
    suggestions: list[str]


class ProfileAnswer(Shape):
    success: Literal[True] = True
    bot: Profile


class FileAnswer(Shape):
    """A file that was taken: `file` goes into a message's `files`."""

    success: Literal[True] = True
    file: str
    name: str
    kind: str
    expires_in: int


class Health(Shape):
    status: Literal["ok"] = "ok"
    timestamp: int
    service: str = "yingda"
