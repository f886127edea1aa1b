"""The sessions of the desk, for agents: to see, take, hand on and release. The sign-in says who acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Response, request

from adapters.base import read_body, validated
from errors import Unauthorized
from handler.desk import Desk
from handler.handoff import Person
from handler.regulator import contains
from storage.handoff_requests import HandoffRequests
from storage.handoff_stats import HandoffStats
from storage.handoff_tables import Handoff
from storage.handoff_views import HandoffViews, Sought
from storage.models import DialogueSession
from storage.presence import Presence
from storage.sessions import Sessions
from support.agent import Agent
from support.answers import done
from support.desk_bodies import (
    Done,
    Mark,
    Note,
    Profile,
    Release,
    SessionsQuery,
    Tags,
    Takeover,
    Transfer,
)
from support.desk_bodies import Response as Reaction
from support.guard import Guard
from support.names import found, name_of
from support.rights import Action, allows
from support.routes import DeskRoute, entered, opened
from support.session_state import note_of, state, step_of, summary

View = Callable[..., Response]


class SessionsApi:
    """The endpoints under `/api/sessions` and `/api/transfer-requests`."""

    def __init__(
        self, desk: Desk, sessions: Sessions, guard: Guard, visited: Callable[[str], DialogueSession]
    ) -> None:
        self._desk = desk
        self._sessions = sessions
        self._guard = guard
        self._visited = visited
        """The session of a name, for whoever may speak in its customer's name."""
        self._views = HandoffViews(desk.handoffs.db)
        self._requests = HandoffRequests(desk.handoffs)
        self._stats = HandoffStats(desk.handoffs.db)
        self._presence = Presence(desk.handoffs.db)

    def routes(self) -> Sequence[DeskRoute]:
        one = "/api/sessions/<path:name>"

        def route(
            action: Action, path: str, method: str, view: View, summary: str, also: str = "", **models: Any
        ) -> DeskRoute:
            view = opened(view) if also else entered(self._guard, action, view)
            return DeskRoute(
                path, (method,), view, summary, answer=Done, tag="desk", action=action, also=also, **models
            )

        return (
            route("sessions.read", "/api/sessions", "GET", self.listed, "Sessions of the desk",
                  query=SessionsQuery),
            route("sessions.read", "/api/sessions/queue", "GET", self.queue, "Who waits for a person"),
            route("sessions.read", "/api/sessions/stats", "GET", self.stats, "How desk and bot fare"),
            route("sessions.read", one, "GET", self.get, "One session with its audit trail",
                  also="the visitor whose it is"),
            route("sessions.take", f"{one}/takeover", "POST", self.take, "Take a session", body=Takeover),
            route("sessions.release", f"{one}/release", "POST", self.release, "Give it back to the bot",
                  body=Release),
            route("sessions.transfer", f"{one}/transfer", "POST", self.transfer,
                  "Ask an agent to take it over", body=Transfer),
            route("sessions.read", f"{one}/notes", "GET", self.notes, "What agents wrote about it"),
            route("sessions.note", f"{one}/notes", "POST", self.note, "Write a note", body=Note),
            route("sessions.mark", f"{one}/tags", "PUT", self.tag, "Set its tags", body=Tags),
            route("sessions.mark", f"{one}/mark", "PUT", self.mark, "Say if its customer is a VIP",
                  body=Mark),
            route("sessions.mark", f"{one}/profile", "PUT", self.profile, "Note its customer's e-mail",
                  body=Profile),
            route("sessions.retry", f"{one}/messages/<int:number>/retry", "POST", self.again,
                  "Send a line once more"),
            route("sessions.read", "/api/transfer-requests", "GET", self.requests,
                  "What you are asked to take over"),
            route("sessions.respond", "/api/transfer-requests/<int:number>/respond", "POST", self.respond,
                  "Accept or decline it", body=Reaction),
        )  # fmt: skip

    def listed(self, agent: Agent) -> Response:
        query = validated(SessionsQuery, {name: value for name, value in request.args.items() if value})
        whose = {"all": None, "mine": agent.username, "unassigned": ""}.get(query.agent, query.agent)
        sought = Sought(
            status="" if query.status == "all" else query.status,
            since_ms=_ms(query.time_start),
            until_ms=_ms(query.time_end),
            agent=whose,
            vip={"vip": True, "normal": False}.get(query.customer_type),
            returning={"old": True, "new": False}.get(query.customer_type),
            keyword=query.keyword,
            sort=query.sort,
            limit=query.limit,
            offset=query.offset,
        )
        rows, total = self._views.listed(sought)
        shown = [summary(each, self._urgent(each.row)) for each in rows]
        return done({"sessions": shown, "total": total, "limit": query.limit, "offset": query.offset})

    def queue(self, _agent: Agent) -> Response:
        waiting = self._desk.queue.waiting()
        seen = self._views.many([each.row.session_id for each in waiting])
        shown = [
            summary(seen[each.row.session_id], self._urgent(each.row))
            | {"position": each.place, "estimated_wait_seconds": round(each.wait_seconds)}
            for each in waiting
            if each.row.session_id in seen
        ]
        waited = [each.priority.waited_seconds for each in waiting]
        return done(
            {
                "queue": shown,
                "total_count": len(waiting),
                "vip_count": sum(each.priority.vip for each in waiting),
                "avg_wait_time": round(sum(waited) / len(waited), 1) if waited else 0,
                "max_wait_time": round(max(waited, default=0), 1),
            }
        )

    def stats(self, _agent: Agent) -> Response:
        return done(self._stats.now(self._desk.hours.zone))

    def get(self, name: str) -> Response:
        try:
            self._guard.entitled("sessions.read")
        except Unauthorized:
            return self._own(self._visited(name))
        dialogue = found(self._sessions, name)
        trail = [step_of(each) for each in self._views.steps(dialogue.id)]
        return done({"session": self._state(dialogue), "audit_trail": trail})

    def take(self, agent: Agent, name: str) -> Response:
        validated(Takeover, _body())
        dialogue = found(self._sessions, name)
        self._desk.take(dialogue.id, person(agent))
        return done(self._state(dialogue))

    def release(self, agent: Agent, name: str) -> Response:
        body = validated(Release, _body())
        over_all = allows(agent.role, "sessions.release", own=False)
        dialogue = found(self._sessions, name)
        self._desk.release(dialogue.id, agent.username, body.reason, over_all=over_all)
        return done(self._state(dialogue))

    def transfer(self, agent: Agent, name: str) -> Response:
        body = validated(Transfer, _body())
        dialogue = found(self._sessions, name)
        target = self._presence.colleague(body.to_agent_id)
        asked = self._requests.ask(
            dialogue.id,
            agent.username,
            target,
            body.reason,
            body.note,
            anybodys=allows(agent.role, "sessions.transfer", own=False),
        )
        return done({"id": asked.id, "status": asked.status, "to_agent_id": asked.to_username})

    def requests(self, agent: Agent) -> Response:
        shown = [
            {
                "id": asked.id,
                "session_name": name_of(dialogue),
                "from_agent_id": asked.from_username,
                "reason": asked.reason,
                "note": asked.note,
                "created_at": asked.created_ms / 1000,
            }
            for asked, dialogue in self._views.requests(agent.username)
        ]
        return done({"requests": shown})

    def respond(self, agent: Agent, number: int) -> Response:
        body = validated(Reaction, _body())
        asked = self._views.request(number)
        self._guard.entitled("sessions.respond", own=asked.to_username == agent.username)
        line = self._desk.texts.handed_on.format(name=agent.name)
        asked = self._requests.respond(number, person(agent), body.accepted, line)
        return done({"id": asked.id, "status": asked.status})

    def notes(self, _agent: Agent, name: str) -> Response:
        written = self._views.notes(found(self._sessions, name).id)
        return done({"notes": [note_of(each) for each in written]})

    def note(self, agent: Agent, name: str) -> Response:
        body = validated(Note, _body())
        written = self._requests.note(found(self._sessions, name).id, person(agent), body.content)
        return done(note_of(written), 201)

    def tag(self, agent: Agent, name: str) -> Response:
        body = validated(Tags, _body())
        row = self._requests.mark(found(self._sessions, name).id, agent.username, tags=body.tags)
        return done({"tags": row.tags})

    def mark(self, agent: Agent, name: str) -> Response:
        body = validated(Mark, _body())
        row = self._requests.mark(found(self._sessions, name).id, agent.username, vip=body.vip)
        return done({"vip": row.vip})

    def profile(self, agent: Agent, name: str) -> Response:
        body = validated(Profile, _body())
        self._requests.profile(found(self._sessions, name).id, agent.username, body.email)
        return done({"email": body.email})

    def again(self, agent: Agent, name: str, number: int) -> Response:
        dialogue = found(self._sessions, name)
        row = self._desk.handoffs.get(dialogue.id)
        self._guard.entitled("sessions.retry", own=row is not None and row.agent_username == agent.username)
        resent = self._desk.words.again(number, dialogue.id, agent.username)
        self._desk.wake()
        fate = self._desk.words.state(number)
        return done({"resent": resent, "delivery": fate.state, "delivery_error": fate.error})

    def _own(self, dialogue: DialogueSession) -> Response:
        """What a customer may see of their own session: nothing that agents keep for themselves."""
        kept_back = self._desk.texts.withheld.partition("{")[0]
        lines = [
            each
            for each in self._views.lines(dialogue.id)
            if each.role != "system" or not (kept_back and each.text.startswith(kept_back))
        ]
        row = self._desk.handoffs.get(dialogue.id)
        shown = state(dialogue, row, lines, self._desk.fail_count(dialogue.id), [])
        return done({"session": {**shown, "tags": [], "mail": None}, "audit_trail": []})

    def _state(self, dialogue: DialogueSession) -> dict[str, object]:
        row = self._desk.handoffs.get(dialogue.id)
        lines = self._views.lines(dialogue.id)
        return state(dialogue, row, lines, self._desk.fail_count(dialogue.id), self._urgent(row))

    def _urgent(self, row: Handoff | None) -> list[str]:
        if row is None or not row.urgent:
            return []
        return [each for each in self._desk.rules.urgent if contains(row.details, [each])]


def person(agent: Agent) -> Person:
    """The agent as the handler knows people."""
    return Person(agent.id, agent.username, agent.name)


def _body() -> bytes:
    return read_body(request) or b"{}"


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
