"""What the desk's account endpoints read, and what they answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field, SecretStr, StringConstraints

from adapters.shape import Shape
from storage.agents import Account, Status
from storage.audit import Entry
from storage.columns import storable
from support.agent import Role

USERNAME = r"[A-Za-z0-9][A-Za-z0-9._-]{1,63}"
LONGEST_PASSWORD = 1024
"""Bytes are counted elsewhere; this only keeps nonsense out."""


def _shown(text: str) -> str:
    if storable(text) != text or any(not each.isprintable() for each in text):
        raise ValueError("must be printable")
    return text


def _picture(url: str) -> str:
    if url and not url.startswith("https://"):
        raise ValueError("must begin with https://")
    return _shown(url)


Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=f"^{USERNAME}$", max_length=64),
]
Shown = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_shown)
]
Picture = Annotated[str, StringConstraints(max_length=500), AfterValidator(_picture)]
Password = Annotated[SecretStr, Field(max_length=LONGEST_PASSWORD)]
Capacity = Annotated[int, Field(ge=1, le=100, strict=True)]


class Body(Shape):
    """Never quotes what came in: it may be a password."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Credentials(Body):
    """`agent_id` is what older clients call the user name."""

    username: str = Field(validation_alias=AliasChoices("username", "agent_id"), min_length=1, max_length=128)
    password: Password
    device_id: str = Field("", max_length=128)


class Renewal(Body):
    refresh_token: str = Field(min_length=1, max_length=2000)


class PasswordChange(Body):
    old_password: Password
    new_password: Password


class PasswordReset(Body):
    new_password: Password


class StatusChange(Body):
    status: Status


class NewAgent(Body):
    username: Username
    password: Password
    name: Shown | None = None
    role: Role = "agent"
    max_sessions: Capacity = 5
    avatar_url: Picture = ""


class AgentChange(Body):
    """What is left out stays. Only `name` and `avatar_url` are the holder's own to change."""

    name: Shown = ""
    avatar_url: Picture = ""
    role: Role = "agent"
    max_sessions: Capacity = 5
    enabled: bool = True


class AgentsQuery(Body):
    all: bool = False


class AuditQuery(Body):
    """Filters; `before` is the `next` of the page before. Times are unix seconds."""

    actor: str = Field("", max_length=64)
    action: str = Field("", max_length=48)
    target: str = Field("", max_length=128)
    start: float | None = Field(None, ge=0, le=1e11, allow_inf_nan=False)
    end: float | None = Field(None, ge=0, le=1e11, allow_inf_nan=False)
    before: int | None = Field(None, ge=1, le=2**53)
    limit: int = Field(50, ge=1, le=200)


class AgentShown(Shape):
    """An account in answers. Times are UTC unix seconds."""

    id: str
    username: str
    name: str
    role: Role
    status: Status
    max_sessions: int
    created_at: float
    last_login: float | None
    avatar_url: str
    enabled: bool

    @classmethod
    def of(cls, account: Account) -> AgentShown:
        return cls(
            id=account.username,
            username=account.username,
            name=account.name,
            role=account.role,
            status=account.status,
            max_sessions=account.max_sessions,
            created_at=account.created_ms / 1000,
            last_login=None if account.last_login_ms is None else account.last_login_ms / 1000,
            avatar_url=account.avatar_url,
            enabled=account.enabled,
        )


class AgentAnswer(Shape):
    success: Literal[True] = True
    agent: AgentShown


class AgentsAnswer(Shape):
    success: Literal[True] = True
    agents: list[AgentShown]
    total: int


class Tokens(Shape):
    """The older clients' words for a sign-in."""

    success: Literal[True] = True
    token: str
    refresh_token: str
    expires_in: int
    agent: AgentShown


class AuditLine(Shape):
    """One thing somebody did; `at` in UTC unix seconds."""

    id: int
    at: float
    actor: str
    action: str
    target: str
    detail: dict[str, Any]
    request_id: str
    address: str

    @classmethod
    def of(cls, entry: Entry) -> AuditLine:
        return cls(
            id=entry.id,
            at=entry.at_ms / 1000,
            actor=entry.actor,
            action=entry.action,
            target=entry.target,
            detail=dict(entry.detail),
            request_id=entry.request_id,
            address=entry.address,
        )


class AuditAnswer(Shape):
    """Newest first; `next` is the `before` of the next page, null on the last one."""

    success: Literal[True] = True
    entries: list[AuditLine]
    next: int | None
