"""The endpoints of the session service: sessions, their messages and results, cleaning up and counting.

A caller is a server of the operator's that speaks for its users. It is known by its `HtyHost`, the tenant:
whatever a tenant opened is for every other tenant not there.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from flask import Request, Response, g, request

from adapters.base import Adapter, Route, as_json, event_stream, read_body, request_id, validated
from adapters.gateway import Gateway
from adapters.sessions.bodies import NewMessage, NewSession
from adapters.sessions.envelope import Success, chat_data, failure, session_data, success
from adapters.sessions.settings import SessionsSettings
from adapters.sessions.verifier import Verifier
from errors import Forbidden, NotFound, Unavailable, UpstreamError, YingdaError
from handler.message import InboundMessage, Reply, ServiceChat, ServiceSession, remainder
from handler.run import Follows

log = logging.getLogger(__name__)

NOBODY = "default"
"""The tenant of callers that are not verified."""
QUIET_SECONDS = 15.0
"""Silence after which a comment line keeps proxies from closing the stream."""


class BotFailed(UpstreamError):
    """The bot gave no answer; the message is what a customer may read."""


class SessionsAdapter(Adapter):
    """`/coze/…`."""

    name: ClassVar[str] = "sessions"

    def __init__(self, gateway: Gateway, own: SessionsSettings) -> None:
        super().__init__(gateway)
        self.own = own
        self.store = gateway.service_sessions
        self._verifier = Verifier(own.allowed_hosts, own.verifier_url)
        settings = gateway.settings
        # a newcomer's curl works; whoever names hosts, or goes to production, is strict
        self._verifies = settings.enable_auth and bool(own.allowed_hosts or not settings.development)
        if not self._verifies and not settings.development:
            log.warning("ENABLE_AUTH is off: whoever reaches /coze/ may use it")

    @classmethod
    def build(cls, gateway: Gateway) -> Self | None:
        return cls(gateway, SessionsSettings.load())

    def routes(self) -> Sequence[Route]:
        def route(path: str, method: str, view: Callable[..., Response], summary: str, **more: Any) -> Route:
            return Route(f"/coze{path}", (method,), view, summary, answer=Success, tag="sessions", **more)

        session = "/sessions/<session_id>"
        return (
            route("/health", "GET", self.health, "Is the session service there"),
            route("/sessions", "POST", self.open, "Open a session for a user", body=NewSession),
            route(session, "GET", self.look, "A session and its history"),
            route(session, "DELETE", self.end, "Terminate a session"),
            route(
                f"{session}/messages", "POST", self.receive, "Ask in a session, JSON or SSE", body=NewMessage
            ),
            route(f"{session}/chats", "GET", self.chats, "The chats of a session"),
            route("/chats/<chat_id>/result", "GET", self.result, "A chat and its answer"),
            route("/users/<path:user_id>/sessions", "GET", self.of_user, "The sessions of a user"),
            route("/admin/cleanup", "POST", self.clean_up, "Forget the sessions that have ended"),
            route("/admin/stats", "GET", self.stats, "How many sessions there are"),
        )

    def verify(self, request: Request, body: bytes) -> None:
        g.sessions_tenant = NOBODY
        if not self._verifies:
            return
        if not self.own.allowed_hosts:
            raise Forbidden("set SESSIONS_ALLOWED_HOSTS to open this service")
        headers = request.headers
        g.sessions_tenant = self._verifier.require(
            headers.get("HtySudoerToken", ""), headers.get("HtyHost", "")
        )

    def parse(self, request: Request, body: bytes) -> InboundMessage:
        asked = validated(NewMessage, body).checked(self.own.message_chars)
        key = (request.view_args or {})["session_id"]
        session = self._found(self.store.use(g.sessions_tenant, key, self.own.expiry))
        chat_id = uuid.uuid4().hex
        g.sessions_stream = asked.stream
        g.sessions_chat = ServiceChat(chat_id, session.id, 0, asked.message, None, _now_ms(), None)
        return InboundMessage(
            platform=self.name,
            account=session.tenant,
            user=session.user,
            # without a memory each message is a dialogue of its own
            session=session.id if session.remembers else f"{session.id}.{chat_id}",
            dedupe_key=chat_id,
            text=asked.message,
            earlier=session.earlier,
            reply_by=time.monotonic()
            + (self.gateway.settings.coze_answer_timeout if asked.stream else self.own.wait),
            raw={"chat_id": chat_id},
            request_id=request_id(),
        )

    def respond(self, message: InboundMessage, run: Follows) -> Response:
        chat: ServiceChat = g.sessions_chat
        if g.sessions_stream:
            return event_stream(self._frames(chat, message, run))
        reply = run.wait(message.seconds_left(), "sync")
        if reply is None:
            return _json(success(chat_data(chat), "the answer is being made; fetch its result"))
        if reply.error is not None:
            return _json(failure(BotFailed(reply.text), _ids(chat, reply)), BotFailed.status)
        self.gateway.deliver(run, "sync")
        return _json(success(self._finished(chat, message.account, reply), "completed"))

    def refuse(self, error: YingdaError) -> Response:
        return _json(failure(error), error.status)

    def health(self) -> Response:
        """Alive, and the store too; for everybody."""

        def steps() -> Response:
            self.store.ping()
            return _json(success({"status": "healthy", "service": "yingda"}, "healthy"))

        return self.guarded(steps)

    def open(self) -> Response:
        """The view of `POST /coze/sessions`."""

        def steps(tenant: str, body: bytes) -> Response:
            asked = validated(NewSession, body)
            session = self.store.open(
                tenant,
                asked.user_id,
                bot_id=asked.bot_id or "",
                earlier=asked.earlier(),
                remembers=asked.auto_save_history,
                metadata=asked.meta_data or {},
                lifetime=self.own.expiry,
                limit=self.own.per_user,
            )
            return _json(success(self._shown(session), "session created"))

        return self._known(steps)

    def look(self, session_id: str) -> Response:
        """The view of `GET /coze/sessions/{id}`."""

        def steps(tenant: str, body: bytes) -> Response:
            session = self._found(self.store.get(tenant, session_id))
            shown = self._shown(session, self.store.chats(session))
            return _json(success(shown, "session found", session=shown))

        return self._known(steps)

    def end(self, session_id: str) -> Response:
        """The view of `DELETE /coze/sessions/{id}`."""

        def steps(tenant: str, body: bytes) -> Response:
            session = self._found(self.store.end(tenant, session_id))
            data = {"session_id": session.id, "status": session.status}
            return _json(success(data, "session terminated"))

        return self._known(steps)

    def chats(self, session_id: str) -> Response:
        """The view of `GET /coze/sessions/{id}/chats`."""

        def steps(tenant: str, body: bytes) -> Response:
            session = self._found(self.store.get(tenant, session_id))
            found = [chat_data(each) for each in self.store.chats(session, self.own.result_expiry)]
            data = {"session_id": session.id, "chats": found, "total": len(found)}
            return _json(success(data, "chats found"))

        return self._known(steps)

    def result(self, chat_id: str) -> Response:
        """The view of `GET /coze/chats/{chat_id}/result`."""

        def steps(tenant: str, body: bytes) -> Response:
            chat = self.store.chat(tenant, chat_id, self.own.result_expiry)
            if chat is None:
                raise NotFound("there is no such chat, or its result has expired")
            if chat.reply is not None:
                self.store.fetched(chat.exchange_id)
            return _json(success(chat_data(chat), "chat found"))

        return self._known(steps)

    def of_user(self, user_id: str) -> Response:
        """The view of `GET /coze/users/{user_id}/sessions`."""

        def steps(tenant: str, body: bytes) -> Response:
            found = [self._shown(each) for each in self.store.of_user(tenant, user_id)]
            return _json(success({"user_id": user_id, "sessions": found, "total": len(found)}, "found"))

        return self._known(steps)

    def clean_up(self) -> Response:
        """The view of `POST /coze/admin/cleanup`."""
        return self._known(
            lambda tenant, body: _json(
                success({"cleaned_sessions": self.store.clean_up(tenant)}, "cleaned up")
            )
        )

    def stats(self) -> Response:
        """The view of `GET /coze/admin/stats`."""

        def steps(tenant: str, body: bytes) -> Response:
            found = self.store.stats(tenant)
            data = {
                "active_sessions": found.active,
                "ended_sessions": found.ended,
                "total_sessions": found.active + found.ended,
                "users": found.users,
                "messages": found.messages,
                "limits": {
                    "message_characters": self.own.message_chars,
                    "sessions_per_user": self.own.per_user,
                    "session_seconds": self.own.expiry,
                    "result_seconds": self.own.result_expiry,
                },
            }
            return _json(success(data, "counted"))

        return self._known(steps)

    def _known(self, steps: Callable[[str, bytes], Response]) -> Response:
        """A view for verified callers, with the tenant and the body."""

        def verified() -> Response:
            body = read_body(request)
            self.checked(self.verify, request, body, otherwise=Forbidden)
            return steps(g.sessions_tenant, body)

        return self.guarded(verified)

    def _found(self, session: ServiceSession | None) -> ServiceSession:
        if session is None:
            raise NotFound("there is no such session, or it has ended")
        return session

    def _shown(self, session: ServiceSession, chats: Sequence[ServiceChat] = ()) -> dict[str, Any]:
        settings = self.gateway.settings
        return session_data(session, settings.coze_workflow_id or settings.coze_bot, chats)

    def _finished(self, chat: ServiceChat, tenant: str, reply: Reply) -> dict[str, Any]:
        """The chat as its result will be shown ever after."""
        try:
            stored = self.store.chat(tenant, chat.id, self.own.result_expiry)
        except Unavailable:
            # the answer is in our hands, and its reader waits
            stored = None
        if stored is None or stored.reply is None:
            stored = replace(chat, reply=reply, answered_ms=_now_ms())
        return chat_data(stored)

    def _frames(self, chat: ServiceChat, message: InboundMessage, run: Follows) -> Iterator[bytes]:
        """`chat` names it, `delta` brings pieces, and `done` or `error` is the envelope of the JSON form."""
        yield _frame("chat", {"chat_id": chat.id, "session_id": chat.session})
        told = 0
        with run.taking("stream"):
            for text in run.deltas(heartbeat=QUIET_SECONDS):
                if not text:
                    yield b": keep-alive\n\n"
                    if message.seconds_left() == 0:
                        break
                else:
                    told += len(text)
                    yield _frame("delta", {"content": text})
        reply = run.wait(0) or Reply(self.gateway.texts.busy, "system", error="out_of_time")
        if reply.error is not None:
            yield _frame("error", failure(BotFailed(reply.text), _ids(chat, reply)))
            return
        if rest := remainder(run.streamed[:told], reply):
            yield _frame("delta", {"content": rest})
        yield _frame("done", success(self._finished(chat, message.account, reply), "completed"))
        self.gateway.deliver(run, "stream")


def _ids(chat: ServiceChat, reply: Reply) -> dict[str, str | None]:
    return {"chat_id": chat.id, "session_id": chat.session, "cause": reply.error}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _frame(event: str, data: Mapping[str, object]) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + as_json(data) + b"\n\n"


def _json(content: Mapping[str, object], status: int = 200) -> Response:
    # people's words: no proxy keeps a copy
    response = Response(as_json(content), status=status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
