"""The audit as a page at `/console/audit`: who did what, to which session or account, and when.

Supervisors see what was done to sessions; accounts and sign-ins are for those who may read that audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Response, request
from pydantic import ConfigDict, Field, field_validator

from adapters.base import validated
from adapters.shape import Shape
from errors import NotFound, YingdaError
from storage.agents import Agents
from storage.audit_trail import AuditTrail, Kind, Line, Place, Sought, place_of
from storage.sessions import Sessions
from support import pages
from support.agent import Agent
from support.audit_words import DESK_ACTIONS, SESSION_ACTIONS
from support.console import Console
from support.names import found, name_of
from support.pages import page
from support.rights import allows
from support.routes import DeskRoute, entered
from support.words import explained

LINES = 50
LONGEST = 400
"""Characters of an entry's details that are shown."""


class AuditFilter(Shape):
    """What the page is asked for. Days are those of the desk's time zone, the last one included."""

    model_config = ConfigDict(str_strip_whitespace=True, populate_by_name=True, extra="ignore")

    actor: str = Field("", max_length=64)
    action: str = Field("", max_length=48)
    session: str = Field("", max_length=1600)
    target: str = Field("", max_length=128)
    since: date | None = Field(None, alias="from")
    until: date | None = Field(None, alias="to")
    before: str = Field("", max_length=64)

    @field_validator("before")
    @classmethod
    def _is_place(cls, value: str) -> str:
        if value and place_of(value) is None:
            raise ValueError("is no place in the audit")
        return value

    def href(self, before: Place | None) -> str:
        """The address of a page with these filters."""
        fields = self.model_dump(by_alias=True, mode="json") | {"before": str(before or "")}
        return "/console/audit?" + urlencode({name: value for name, value in fields.items() if value})


class AuditPage:
    """Only reads."""

    def __init__(
        self, trail: AuditTrail, sessions: Sessions, agents: Agents, console: Console, zone: str
    ) -> None:
        self._trail = trail
        self._sessions = sessions
        self._agents = agents
        self._console = console
        self._zone = ZoneInfo(zone)

    def routes(self) -> Sequence[DeskRoute]:
        """The page."""
        view = entered(self._console.guard, "audit.sessions", self.page, self._console.refused)
        return (
            DeskRoute("/console/audit", ("GET",), view, "Page of the audit", query=AuditFilter,
                      content_type="text/html", tag="console", action="audit.sessions"),
        )  # fmt: skip

    def page(self, agent: Agent) -> Response:
        """The lines that fit, or with status 400 what is wrong about the filter."""
        all_of_it = allows(agent.role, "audit.read", None)
        kinds: frozenset[Kind] = frozenset(("desk", "session") if all_of_it else ("session",))
        try:
            sought = validated(AuditFilter, {name: value for name, value in request.args.items() if value})
            lines, following = self._found(sought, kinds)
        except NotFound:
            lines, following = [], None
        except YingdaError as error:
            said = explained(error, pages.words())
            return self._shown(agent, AuditFilter(), [], None, all_of_it, said, error.status)
        return self._shown(agent, sought, lines, following, all_of_it)

    def _found(self, sought: AuditFilter, kinds: frozenset[Kind]) -> tuple[list[Line], Place | None]:
        session_id = found(self._sessions, sought.session).id if sought.session else None
        return self._trail.page(
            Sought(
                actor=sought.actor.lower() if sought.actor else "",
                action=sought.action,
                target=sought.target,
                session_id=session_id,
                start_ms=self._midnight(sought.since, 0),
                end_ms=self._midnight(sought.until, 1),
            ),
            place_of(sought.before),
            LINES,
            kinds,
        )

    def _shown(
        self,
        agent: Agent,
        sought: AuditFilter,
        lines: Sequence[Line],
        following: Place | None,
        all_of_it: bool,
        error: str = "",
        status: int = 200,
    ) -> Response:
        return page(
            "audit.html",
            status,
            account=self._agents.get(agent.username),
            sought=sought,
            lines=lines,
            following=following,
            all_of_it=all_of_it,
            session_actions=SESSION_ACTIONS,
            desk_actions=DESK_ACTIONS if all_of_it else (),
            at=self._moment,
            detail_of=detail_of,
            name_of=name_of,
            console=lambda name: "/console?" + urlencode({"tab": "all", "session": name}),
            error=error,
        )

    def _midnight(self, day: date | None, later: int) -> int | None:
        """The unix milliseconds at which the day begins, or one `later`."""
        if day is None:
            return None
        try:
            begins = datetime.combine(day + timedelta(days=later), datetime.min.time(), self._zone)
            return round(begins.timestamp() * 1000)
        except (OverflowError, ValueError):
            # a day at the very end of the calendar is no limit
            return None

    def _moment(self, milliseconds: int) -> str:
        return datetime.fromtimestamp(milliseconds / 1000, self._zone).strftime("%Y-%m-%d %H:%M:%S")


def detail_of(detail: Mapping[str, Any]) -> str:
    """An entry's details in one line, without what is empty."""
    said = " · ".join(f"{name}: {value}" for name, value in detail.items() if value not in ("", None, []))
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
