"""What agents do beside a session that is another's: give it to somebody else, whisper, be seen looking."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Response, request
from pydantic import BaseModel

from adapters.base import read_body, validated
from errors import Conflict
from handler.desk import Desk
from storage.handoff_news import tell_presence
from storage.handoff_requests import HandoffRequests
from storage.presence import Presence
from storage.sessions import Sessions
from support.agent import Agent
from support.answers import done
from support.desk_bodies import Done, Note, Reassign, Watching
from support.guard import Guard
from support.names import found
from support.rights import Action
from support.routes import DeskRoute, entered
from support.session_state import note_of
from support.sessions_api import person


class SupervisionApi:
    """`reassign`, `whisper` and `presence` of a session."""

    def __init__(self, desk: Desk, sessions: Sessions, guard: Guard) -> None:
        self._desk = desk
        self._sessions = sessions
        self._guard = guard
        self._db = desk.handoffs.db
        self._requests = HandoffRequests(desk.handoffs)
        self._presence = Presence(self._db)

    def routes(self) -> Sequence[DeskRoute]:
        def route(
            action: Action, what: str, view: Callable[..., Response], summary: str, body: type[BaseModel]
        ) -> DeskRoute:
            return DeskRoute(
                f"/api/sessions/<path:name>/{what}",
                ("POST",),
                entered(self._guard, action, view),
                summary,
                answer=Done,
                tag="desk",
                action=action,
                body=body,
            )

        return (
            route("sessions.reassign", "reassign", self.reassign, "Give it to another agent", Reassign),
            route("sessions.whisper", "whisper", self.whisper, "Tell its agent something", Note),
            route("sessions.watch", "presence", self.watch, "Be seen looking or typing", Watching),
        )

    def reassign(self, agent: Agent, name: str) -> Response:
        body = validated(Reassign, read_body(request))
        dialogue = found(self._sessions, name)
        target = self._presence.colleague(body.to_agent_id)
        if not self._presence.is_there(target.username):
            # the queue would have it back within seconds
            raise Conflict(f"OFFLINE: {target.name}")
        line = self._desk.texts.handed_on.format(name=target.name)
        row = self._requests.reassign(dialogue.id, agent.username, target, body.reason, line)
        return done({"assigned_agent": {"id": row.agent_username, "name": row.agent_name}})

    def whisper(self, agent: Agent, name: str) -> Response:
        body = validated(Note, read_body(request))
        dialogue = found(self._sessions, name)
        written = self._requests.note(dialogue.id, person(agent), body.content, whispers=True)
        return done(note_of(written), 201)

    def watch(self, agent: Agent, name: str) -> Response:
        body = validated(Watching, read_body(request))
        number = found(self._sessions, name).id
        self._db.transact(
            lambda session: tell_presence(session, number, agent.username, agent.name, body.doing)
        )
        return done({"doing": body.doing})
