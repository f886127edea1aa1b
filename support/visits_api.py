"""The desk from the customer's side: to ask for a person, to write to one, to rate, to see who is there.

Visitors prove who they are as for the web chat, servers with an API key; an agent is signed in.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from flask import Response, request

from adapters.base import idempotency_key, read_body, request_id, validated
from adapters.gateway import Keys
from adapters.web.adapter import WebSettings
from adapters.web.cors import Cors
from adapters.web.limits import Limit
from adapters.web.visitors import Visitors
from errors import Conflict, Forbidden
from handler.desk import Desk
from handler.handoff import OWNED, Escalation
from handler.message import InboundMessage
from handler.run import Follows
from settings import Settings
from storage.handoff_requests import HandoffRequests
from storage.handoff_views import HandoffViews
from storage.handoffs import CUSTOMER
from storage.models import DialogueSession
from storage.sessions import Sessions
from support.answers import done
from support.desk_bodies import Done, Escalate, Escalated, ManualMessage, Rating
from support.guard import Guard
from support.names import WEB, found
from support.rights import Action
from support.routes import DeskRoute, opened
from support.session_state import state
from support.sessions_api import person

TAKEN_SECONDS = 5.0
"""How long a customer's line waits to be taken: it is in the transcript before, and needs no answer."""


class VisitsApi:
    """`/api/manual/…` and `/api/shift/…`."""

    def __init__(
        self,
        desk: Desk,
        sessions: Sessions,
        guard: Guard,
        settings: Settings,
        keys: Keys,
        answer: Callable[[InboundMessage], Follows],
    ) -> None:
        self._desk = desk
        self._sessions = sessions
        self._guard = guard
        self._visitors = Visitors(settings.visitor_secrets, keys, settings.development)
        self._answer = answer
        self._limit = Limit(WebSettings.load().messages_per_minute)
        self._cors = Cors(settings.cors_origins)
        self._views = HandoffViews(desk.handoffs.db)
        self._requests = HandoffRequests(desk.handoffs)

    def routes(self) -> Sequence[DeskRoute]:
        def route(
            path: str,
            method: str,
            view: Any,
            summary: str,
            action: Action | None = None,
            also: str = "",
            **models: Any,
        ) -> DeskRoute:
            return DeskRoute(
                path,
                (method, "OPTIONS"),
                self._cors.opened(opened(view)),
                summary,
                tag="desk",
                action=action,
                also=also,
                **{"answer": Done, **models},
            )

        return (
            route(
                "/api/manual/escalate", "POST", self.escalate, "Ask for a person", body=Escalate,
                answer=Escalated,
            ),
            route("/api/manual/messages", "POST", self.say, "Say a line", "sessions.say",
                "the visitor whose session it is", body=ManualMessage),
            route("/api/manual/rating", "POST", self.rate, "Rate a person's service", body=Rating),
            route("/api/shift/config", "GET", self.config, "When people are there"),
            route("/api/shift/status", "GET", self.status, "Whether people are there now"),
        )  # fmt: skip

    def escalate(self) -> Response:
        body = validated(Escalate, read_body(request))
        dialogue = self.visited(body.session_name)
        reason = "manual" if body.reason == "user_request" else body.reason
        vip = dialogue.user_id in self._desk.rules.vip_users
        if body.email:
            self._requests.profile(dialogue.id, CUSTOMER, body.email)
        what = self._desk.escalate(dialogue.id, Escalation(reason, body.details, vip=vip))
        if what.outcome == "live":
            raise Conflict("MANUAL_IN_PROGRESS")
        row = self._desk.handoffs.get(dialogue.id)
        shown = state(dialogue, row, self._views.lines(dialogue.id), self._desk.fail_count(dialogue.id), [])
        return done(
            shown,
            email_sent=what.email_sent,
            is_in_shift=what.in_shift,
            queue_num=what.place,
            message=what.words,
        )

    def say(self) -> Response:
        body = validated(ManualMessage, read_body(request))
        key = idempotency_key(request, body.client_message_id)
        if body.role == "agent":
            agent = self._guard.entitled("sessions.say")
            number = found(self._sessions, body.session_name).id
            spoken = self._desk.say(number, person(agent), body.content, key)
            return done(
                {
                    "message_id": str(spoken.message_id),
                    "timestamp": spoken.said_ms / 1000,
                    "delivery": self._desk.words.state(spoken.message_id).state,
                }
            )
        dialogue = self.visited(body.session_name)
        row = self._desk.handoffs.get(dialogue.id)
        if row is None or row.status not in OWNED:
            raise Conflict(f"INVALID_STATUS: {row.status if row else 'bot_active'}")
        run = self._answer(
            InboundMessage(
                platform=dialogue.platform,
                account=dialogue.account,
                user=dialogue.user_id,
                session=dialogue.session_key,
                # of this dialogue: another customer's line of the same key is another line
                dedupe_key=f"manual\0{dialogue.id}\0{key or uuid.uuid4().hex}",
                text=body.content,
                reply_by=time.monotonic() + TAKEN_SECONDS,
                request_id=request_id(),
            )
        )
        run.wait(TAKEN_SECONDS)
        line = self._desk.words.line_of(run.exchange_id, body.content)
        return done({"message_id": str(line.message_id), "timestamp": line.said_ms / 1000})

    def rate(self) -> Response:
        body = validated(Rating, read_body(request))
        dialogue = self.visited(body.session_name)
        if not self._desk.handoffs.rate(dialogue.id, body.rating, late=True):
            raise Conflict("no person has served this session, or it is rated")
        return done({"rating": body.rating})

    def config(self) -> Response:
        return done(self._shift())

    def status(self) -> Response:
        now, hours = self._desk.clock(), self._desk.hours
        return done(
            self._shift() | {"now": now, "opens_at": hours.opens(now), "closes_at": hours.closes(now)}
        )

    def _shift(self) -> dict[str, object]:
        hours = self._desk.hours
        return {
            "shift_start": hours.start,
            "shift_end": hours.end,
            "timezone": hours.zone,
            "weekends_disabled": hours.weekends_off,
            "holidays": list(hours.holidays),
            "working_days": list(hours.working_days),
            "is_in_shift": hours.open_at(self._desk.clock()),
            "service_status": "online" if self._desk.online else "offline",
        }

    def visited(self, name: str) -> DialogueSession:
        """The session, for whoever may speak in its customer's name."""
        caller = self._visitors.caller(request)
        if caller.limited:
            self._limit.count(str(caller.visitor))
        dialogue = found(self._sessions, name)
        if caller.visitor is not None and (dialogue.platform, dialogue.user_id) != (WEB, caller.visitor):
            raise Forbidden("this session is not this visitor's")
        return dialogue
