"""The workbench at `/console`: sessions, one conversation and its customer, as pages and as their parts.

The page comes whole; a script fetches `/api/workbench` whenever something happens and puts each changed part
in place. Both are made from the same templates. What an agent does goes through the endpoints of the desk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

from flask import Response, request
from pydantic import Field

from adapters.base import validated
from adapters.images import KEPT_BYTES
from adapters.shape import Shape
from errors import NotFound, YingdaError
from handler.desk import Desk
from storage.desk_views import DeskViews
from storage.handoff_stats import HandoffStats
from storage.handoff_tables import Handoff
from storage.handoff_views import HandoffViews, Sought
from storage.models import DialogueSession
from storage.quotas import Quotas
from storage.sessions import Sessions
from support import pages
from support.agent import Agent
from support.names import found, name_of
from support.people import People
from support.rights import allows
from support.routes import DeskRoute, answered, entered
from support.workbench_view import (
    Row,
    about,
    called,
    ended,
    fate_of,
    moment,
    row_of,
    served_by,
    short_name,
    span,
    told,
)
from support.workbench_words import for_scripts

LINES, MOST_LINES, ROWS = 60, 1000, 60
CARRYING = ("wechat", "yishiting", "web")
"""Platforms to whose customers we bring an agent's words."""
REGIONS = (
    "tabs", "list", "requests", "head", "lines", "quota", "profile", "tags", "notes", "past",
)  # fmt: skip
"""The parts of the page that are replaced when they change; each has a template of its name."""
Tab = Literal["waiting", "live", "mine", "all"]
TABS: tuple[Tab, ...] = ("waiting", "live", "mine", "all")


class Place(Shape):
    """Where in the workbench an agent is."""

    tab: Tab = "waiting"
    session: str = Field("", max_length=1600)
    q: str = Field("", max_length=100)
    lines: int = Field(LINES, ge=1, le=MOST_LINES)

    def href(self, **other: object) -> str:
        """The address of this place, or of one that differs from it."""
        fields = {"tab": self.tab, "q": self.q, "session": self.session, **other}
        return "/console?" + urlencode({name: value for name, value in fields.items() if value})


class Workbench:
    """The page and its parts. Only reads."""

    def __init__(self, desk: Desk, sessions: Sessions, quotas: Quotas, people: People) -> None:
        self._desk = desk
        self._sessions = sessions
        self._quotas = quotas
        self._agents = people.agents
        self._console = people.console
        self._seen = HandoffViews(desk.handoffs.db)
        self._views = DeskViews(desk.handoffs.db)
        self._stats = HandoffStats(desk.handoffs.db)

    def routes(self) -> Sequence[DeskRoute]:
        guard, html = self._console.guard, "text/html"
        page = entered(guard, "sessions.read", self.page, self._console.refused)
        return (
            DeskRoute("/console", ("GET",), page, "The workbench", query=Place, content_type=html,
                      tag="console", action="sessions.read"),
            DeskRoute("/api/workbench", ("GET",), entered(guard, "sessions.read", self.panes),
                      "Parts of the workbench", query=Place, tag="console", action="sessions.read"),
            DeskRoute("/api/workbench/numbers", ("GET",), entered(guard, "sessions.read", self.numbers),
                      "Today's numbers", content_type=html, tag="console", action="sessions.read"),
        )  # fmt: skip

    def page(self, agent: Agent) -> Response:
        try:
            place = _place()
        except YingdaError:
            place = Place()
        words = pages.words()
        values = self._values(agent, place)
        account = self._agents.get(agent.username)
        return pages.page(
            "desk/page.html",
            account=account,
            numbers=self._numbers(),
            state=self._state(agent, values),
            js_words=for_scripts(words),
            can=lambda action: allows(agent.role, action, None),
            error="",
            most_bytes=KEPT_BYTES,
            **values,
        )

    def panes(self, agent: Agent) -> Response:
        values = self._values(agent, _place())
        parts = {each: pages.part(f"desk/{each}.html", **values) for each in REGIONS}
        return answered({"regions": parts, "state": self._state(agent, values)})

    def numbers(self, agent: Agent) -> Response:
        html = pages.part("desk/numbers.html", numbers=self._numbers(), span=_spoken)
        return Response(html, content_type="text/html; charset=utf-8")

    def _values(self, agent: Agent, place: Place) -> dict[str, Any]:
        zone, words = self._desk.hours.zone, pages.words()
        dialogue = self._dialogue(place.session)
        row = self._desk.handoffs.get(dialogue.id) if dialogue else None
        mine = bool(row and row.status == "manual_live" and row.agent_username == agent.username)
        lines = self._seen.lines(dialogue.id, place.lines + 1) if dialogue else []
        wechat = dialogue is not None and dialogue.platform == "wechat"
        steps = told(self._seen.steps(dialogue.id)) if dialogue else []
        requests = self._seen.requests(agent.username)
        acting, server = allows(agent.role, "sessions.take", None), served_by(row)
        return {
            "me": agent,
            "place": place,
            "tabs": TABS,
            "counts": self._views.counts(agent.username),
            "rows": self._rows(agent, place),
            "requests": requests,
            "dialogue": dialogue,
            "name": name_of(dialogue) if dialogue else "",
            "who": short_name(dialogue) if dialogue else "",
            "called": called(dialogue, words) if dialogue else "",
            "row": row,
            "stage": row.status if row else "bot_active",
            "mine": mine,
            "server": server,
            "acting": acting,
            "may_end": mine or (bool(server) and allows(agent.role, "sessions.release", own=False)),
            "can_take": acting and dialogue is not None and not server
            and (row is None or row.status != "closed"),
            "lines": lines[-place.lines :],
            "more": len(lines) > place.lines and place.lines < MOST_LINES,
            "quota": self._left(dialogue) if dialogue and wechat else None,
            "notes": self._seen.notes(dialogue.id) if dialogue else [],
            "steps": steps,
            "agents": self._agents.names(
                {*(each.actor for each in steps), *(each.from_username for each, _ in requests)}
            ),
            "ended": lambda reason: ended(reason, words),
            "about": lambda row: about(row, words),
            "others": [(each, name_of(each.dialogue)) for each in self._views.earlier(dialogue)]
            if dialogue else [],
            "seen": lambda media: media["kind"] == "image" and bool(media["id"] or media["url"]),
            "stand_ins": (self._desk.texts.describe_image, self._desk.texts.agent_picture),
            "fate": lambda line: fate_of(line, dialogue is not None and dialogue.platform in CARRYING),
            "at": lambda milliseconds: moment(milliseconds, zone),
            "span": _spoken,
            "name_of": name_of,
            "short_name": short_name,
            "path_of": lambda name: quote(name, safe=""),
        }  # fmt: skip

    def _rows(self, agent: Agent, place: Place) -> list[Row]:
        if place.tab == "waiting" and not place.q:
            waiting = self._desk.queue.waiting()[:ROWS]
            seen = self._seen.many([each.row.session_id for each in waiting])
            return [
                row_of(seen[each.row.session_id], agent.username, each.place)
                for each in waiting
                if each.row.session_id in seen
            ]
        status = {"waiting": "pending_manual", "live": "manual_live", "mine": "manual_live", "all": ""}
        sought = Sought(
            status=status[place.tab],
            agent=agent.username if place.tab == "mine" else None,
            keyword=place.q,
            sort="default" if place.tab == "waiting" else "newest",
            limit=ROWS,
        )
        return [row_of(each, agent.username) for each in self._seen.listed(sought)[0]]

    def _state(self, agent: Agent, values: dict[str, Any]) -> dict[str, object]:
        """What the scripts have to know; the templates know it too."""
        mine = self._seen.listed(Sought(status="manual_live", agent=agent.username, limit=ROWS))[0]
        wrote = [each for each in mine if each.last is not None and each.last.role == "user"]
        row: Handoff | None = values["row"]
        return {
            "session": values["name"],
            "called": values["called"],
            "agent": agent.name,
            "status": values["stage"],
            "mine": values["mine"],
            "may_end": values["may_end"],
            "can_take": values["can_take"],
            "vip": bool(row and row.vip),
            "tags": row.tags if row else [],
            "wechat": values["quota"] is not None,
            "waiting": values["counts"].waiting,
            "asked": len(values["requests"]),
            "wrote": {name_of(each.dialogue): each.last.id for each in wrote if each.last},
            "sending": any(values["fate"](line) == "queued" for line in values["lines"][-10:]),
            "more": values["more"],
        }

    def _numbers(self) -> dict[str, Any]:
        return self._stats.now(self._desk.hours.zone)

    def _left(self, dialogue: DialogueSession) -> int:
        return self._quotas.left(dialogue.platform, dialogue.account, dialogue.user_id)

    def _dialogue(self, name: str) -> DialogueSession | None:
        try:
            return found(self._sessions, name) if name else None
        except NotFound:
            return None


def _place() -> Place:
    return validated(Place, {name: value for name, value in request.args.items() if value})


def _spoken(seconds: float) -> str:
    return span(seconds, pages.words())
