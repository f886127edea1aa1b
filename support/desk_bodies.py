"""What comes in at the desk's endpoints, and the shape of what goes out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from adapters.shape import Shape
from handler.contact import is_email

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1600)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


def _address(text: str) -> str:
    if text and not is_email(text):
        raise ValueError("is no e-mail address")
    return text


Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(_address)]
Username = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Escalate(Shape):
    """Who wants a person. `user_request` is an older word for `manual`."""

    session_name: Name
    reason: Literal["keyword", "fail_loop", "sentiment", "vip", "manual", "user_request"] = "manual"
    details: str = Field("", max_length=1000)
    email: Email = ""
    """Where the customer can be written to, if they say so."""


class AgentInfo(Shape):
    agent_id: str = Field("", max_length=64)
    agent_name: str = Field("", max_length=128)


class ManualMessage(Shape):
    """A line of a session that a person has. Who an agent is the sign-in says, not `agent_info`.

    `client_message_id`, or the header `Idempotency-Key`, names the line: once more under it is the same line.
    """

    session_name: Name
    role: Literal["agent", "user"]
    content: Words
    client_message_id: str = Field("", max_length=128)
    agent_info: AgentInfo | None = None


class Showing(Shape):
    """Whose customer an agent's picture is for."""

    session_name: Name


class Rating(Shape):
    session_name: Name
    rating: int = Field(ge=1, le=5)


class Takeover(Shape):
    """Tolerated for older clients: the sign-in says who takes it."""

    agent_id: str = Field("", max_length=64)
    agent_name: str = Field("", max_length=128)


class Release(Shape):
    agent_id: str = Field("", max_length=64)
    reason: str = Field("resolved", max_length=500)


class Transfer(Shape):
    from_agent_id: str = Field("", max_length=64)
    to_agent_id: Username
    to_agent_name: str = Field("", max_length=128)
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    note: str = Field("", max_length=2000)


class Response(Shape):
    """The answer to a transfer request; older clients say `action`."""

    accept: bool | None = None
    action: Literal["accept", "decline", "reject"] | None = None

    @property
    def accepted(self) -> bool:
        return self.accept if self.accept is not None else self.action == "accept"


class Note(Shape):
    content: Words


class Reassign(Shape):
    to_agent_id: Username
    reason: str = Field("", max_length=500)


class Watching(Shape):
    """What an agent does with a session at this moment."""

    doing: Literal["viewing", "typing", "gone"]


class Tags(Shape):
    tags: list[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=32)]] = Field(
        max_length=20
    )


class Mark(Shape):
    vip: bool


class Profile(Shape):
    """What agents know of a customer; an empty address forgets it."""

    email: Email


class SessionsQuery(Shape):
    """Which sessions are listed. Times are unix seconds."""

    model_config = ConfigDict(extra="ignore")

    status: Literal[
        "", "all", "bot_active", "pending_manual", "manual_live", "after_hours_email", "closed"
    ] = ""
    time_start: float | None = Field(None, ge=0, le=10**11)
    time_end: float | None = Field(None, ge=0, le=10**11)
    agent: str = Field("all", max_length=64)
    customer_type: Literal["", "all", "vip", "normal", "new", "old"] = ""
    """`old`: a person was called before, or the customer has an older dialogue; `new`: neither."""
    keyword: str = Field("", max_length=100)
    sort: Literal["default", "newest", "oldest", "vip", "waitTime"] = "default"
    limit: int = Field(50, ge=1, le=200)
    offset: int = Field(0, ge=0, le=1_000_000)


class Done(Shape):
    """What every endpoint answers; docs/desk.md has the fields of `data`."""

    success: Literal[True] = True
    data: dict[str, Any]


class Escalated(Done):
    email_sent: bool
    is_in_shift: bool
    queue_num: int
    message: str
