"""The states of a dialogue between bot and people: which there are, and how one becomes another. Pure.

bot_active        the bot answers
pending_manual    the customer waits in the queue; nobody answers but us, about their place in it
manual_live       a person answers, the bot is silent
after_hours_email nobody is there: the desk got a mail, the bot goes on
closed            the person ended it, or the customer stopped answering; the next message is the bot's again
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

Status = Literal["bot_active", "pending_manual", "manual_live", "after_hours_email", "closed"]
Reason = Literal["keyword", "fail_loop", "sentiment", "vip", "manual"]
Severity = Literal["low", "medium", "high"]
Level = Literal["urgent", "high", "normal"]

STATUSES: tuple[Status, ...] = get_args(Status)
OWNED: tuple[Status, ...] = ("pending_manual", "manual_live")
"""While the bot is silent."""
ALLOWED: Mapping[Status, tuple[Status, ...]] = {
    "bot_active": ("pending_manual", "after_hours_email", "manual_live"),
    "pending_manual": ("manual_live", "bot_active", "after_hours_email"),
    "manual_live": ("bot_active", "closed"),
    "after_hours_email": ("manual_live", "bot_active", "closed"),
    "closed": ("bot_active",),
}
"""What each state may become. `bot_active` is always among it, or all: the way over it is never longer."""
OVERDUE_SECONDS = 300
"""Whoever has waited longer is urgent."""
RANK: Mapping[Level, int] = {"urgent": 0, "high": 1, "normal": 2}


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts on our side. `username` is what clients call the agent's id."""

    id: int
    username: str
    name: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """Why a person is called."""

    reason: Reason = "manual"
    details: str = ""
    severity: Severity = "medium"
    vip: bool = False
    urgent: bool = False
    """Whether the customer used one of the urgent phrases."""


@dataclass(frozen=True, slots=True)
class Priority:
    """Whose turn is first, and what that is decided by."""

    vip: bool = False
    urgent: bool = False
    repeat: bool = False
    """Whether the customer has been with a person before."""
    waited_seconds: float = 0.0

    @property
    def overdue(self) -> bool:
        return self.waited_seconds > OVERDUE_SECONDS

    @property
    def level(self) -> Level:
        if self.vip or self.overdue:
            return "urgent"
        return "high" if self.urgent or self.repeat else "normal"


def may_become(now: Status, then: Status) -> bool:
    """Whether this one step is allowed."""
    return then in ALLOWED[now]


def steps(now: Status, then: Status) -> tuple[Status, ...]:
    """The allowed steps that lead from one state to the other, its last included; none to itself."""
    if now == then:
        return ()
    if may_become(now, then):
        return (then,)
    return ("bot_active", *steps("bot_active", then)) if then != "closed" else ("manual_live", "closed")


def status_of(stored: str) -> Status:
    """The stored word as what it is."""
    return cast("Status", stored)


def estimated_wait(place: int, service_seconds: float, agents: int) -> float:
    """Seconds until the customer at this place, 1 is the first, may expect a person."""
    return place * service_seconds / max(1, agents)
