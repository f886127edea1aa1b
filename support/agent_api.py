"""Signing in and out, and what concerns the signed-in agent alone: `/api/agent/…`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Response, request

from adapters.base import event_stream, read_body, validated
from adapters.web.stream import KEEP_ALIVE, QUIET_SECONDS, frame
from errors import BadRequest, Unauthorized, Unavailable
from handler.listening import Listening
from storage.agent_logins import Login
from storage.agents import Account, Agents
from support.agent import Agent
from support.bodies import (
    AgentAnswer,
    AgentShown,
    Credentials,
    PasswordChange,
    Renewal,
    StatusChange,
    Tokens,
)
from support.rights import Action, permissions
from support.routes import DeskRoute, answered, entered, opened
from support.sign_ins import SignIns
from support.signed_in import SignedIn, by, caller_address
from support.tokens import ACCESS_SECONDS, AgentTokens

STREAM_SECONDS = 300.0
"""Life of an event stream: a page comes back by itself, and no restart waits longer for it."""
LOOK_SECONDS = 5.0
"""How often a busy stream asks whether its sign-in is still good; a revocation tells it at once."""


class AgentApi:
    """The endpoints of one agent."""

    def __init__(self, sign_ins: SignIns, tokens: AgentTokens, guard: SignedIn, listening: Listening) -> None:
        self._sign_ins = sign_ins
        self._agents: Agents = sign_ins.agents
        self._tokens = tokens
        self._guard = guard
        self._listening = listening

    def routes(self) -> Sequence[DeskRoute]:
        def own(action: Action, path: str, method: str, view: Callable[..., Response], summary: str,
                **more: Any) -> DeskRoute:  # fmt: skip
            return DeskRoute(
                f"/api/agent/{path}",
                (method,),
                entered(self._guard, action, view),
                summary,
                tag="desk",
                action=action,
                **more,
            )

        def door(path: str, view: Callable[..., Response], summary: str, **more: Any) -> DeskRoute:
            return DeskRoute(path, ("POST",), opened(view), summary, tag="desk", **more)

        return (
            door("/api/agent/login", self.sign_in, "Sign in", body=Credentials, answer=Tokens),
            door("/api/auth/agent/login", self.sign_in_older, "Sign in, older form", body=Credentials),
            door("/api/agent/refresh", self.renew, "Renew the tokens", body=Renewal, answer=Tokens),
            own("profile.sign_out", "logout", "POST", self.sign_out, "Sign out here"),
            own("profile.sign_out", "logout-everywhere", "POST", self.sign_out_everywhere,
                "Sign out on every device"),
            own("profile.password", "change-password", "POST", self.change_password,
                "Set a new password", body=PasswordChange),
            own("profile.read", "profile", "GET", self.profile, "Who is signed in", answer=AgentAnswer),
            own("status.read", "status", "GET", self.status, "The own status"),
            own("status.set", "status", "PUT", self.set_status, "Say if one is there", body=StatusChange),
            own("status.set", "status/heartbeat", "POST", self.heartbeat, "Still there"),
            own("events.follow", "events", "GET", self.events, "Follow what happens at the desk",
                content_type="text/event-stream"),
        )  # fmt: skip

    def sign_in(self) -> Response:
        login, account = self._enter()
        return self._tokens_of(login, account)

    def sign_in_older(self) -> Response:
        """The same in the words of `/api/auth/agent/login`."""
        login, account = self._enter()
        return answered(
            {
                "success": True,
                "access_token": self._tokens.issue(login, "access"),
                "refresh_token": self._tokens.issue(login, "refresh"),
                "token_type": "bearer",
                "expires_in": ACCESS_SECONDS,
                "permissions": permissions(account.role),
                "agent": AgentShown.of(account).model_dump(),
            }
        )

    def renew(self) -> Response:
        body = validated(Renewal, read_body(request))
        login_id, generation = self._tokens.read(body.refresh_token, "refresh")
        login = self._sign_ins.logins.renew(by("-"), login_id, generation)
        return self._tokens_of(login, self._account(login.agent))

    def sign_out(self, agent: Agent) -> Response:
        self._sign_ins.leave(by(agent.username), self._guard.login())
        return self._forgotten({"success": True})

    def sign_out_everywhere(self, agent: Agent) -> Response:
        ended = self._sign_ins.leave_everywhere(by(agent.username), agent)
        return self._forgotten({"success": True, "ended": ended})

    def change_password(self, agent: Agent) -> Response:
        body = validated(PasswordChange, read_body(request))
        old, new = body.old_password.get_secret_value(), body.new_password.get_secret_value()
        self._sign_ins.change_password(by(agent.username), agent, old, new, caller_address())
        return self._forgotten({"success": True})

    def profile(self, agent: Agent) -> Response:
        shown = AgentShown.of(self._account(agent)).model_dump()
        return answered({"success": True, "agent": shown, "permissions": permissions(agent.role)})

    def status(self, agent: Agent) -> Response:
        return _status(self._account(agent))

    def set_status(self, agent: Agent) -> Response:
        body = validated(StatusChange, read_body(request))
        return _status(self._agents.set_status(by(agent.username), agent, body.status))

    def heartbeat(self, agent: Agent) -> Response:
        self._agents.heartbeat(agent)
        return _status(self._account(agent))

    def events(self, agent: Agent) -> Response:
        after: int | None = None
        if last := request.headers.get("Last-Event-ID"):
            if not re.fullmatch(r"[0-9]{1,18}", last, re.ASCII):
                raise BadRequest("Last-Event-ID: is not one of this stream")
            after = int(last)
        return event_stream(self._frames(self._guard.login(), after))

    def _frames(self, login: Login, after: int | None) -> Iterator[bytes]:
        ends = time.monotonic() + STREAM_SECONDS
        looked = time.monotonic()
        for event in self._listening.follow(login.agent.id, after, QUIET_SECONDS):
            now = time.monotonic()
            if isinstance(event, int):
                # an id without data is remembered and shown to nobody
                yield f": listening\nid: {event}\n\n".encode()
                continue
            ended = event is not None and event.kind == "signed_out"
            if ended or now - looked >= LOOK_SECONDS:
                looked = now
                if not self._is_good(login):
                    yield frame({"type": "signed_out"}, event.id) if event is not None else b""
                    return
            if event is None:
                yield KEEP_ALIVE
                if now >= ends:
                    return
            elif not ended:
                yield frame({**event.payload, "type": event.kind}, event.id)

    def _is_good(self, login: Login) -> bool:
        try:
            return self._sign_ins.logins.get(login.id) is not None
        except Unavailable:
            return True  # nothing is told either while the database is away

    def _enter(self) -> tuple[Login, Account]:
        body = validated(Credentials, read_body(request))
        login = self._sign_ins.enter(
            by("-"),
            body.username,
            body.password.get_secret_value(),
            kind="api",
            device=body.device_id,
            address=caller_address(),
        )
        return login, self._account(login.agent)

    def _account(self, agent: Agent) -> Account:
        account = self._agents.get(agent.username)
        if account is None:
            raise Unauthorized("the account is gone")
        return account

    def _tokens_of(self, login: Login, account: Account) -> Response:
        tokens = Tokens(
            token=self._tokens.issue(login, "access"),
            refresh_token=self._tokens.issue(login, "refresh"),
            expires_in=ACCESS_SECONDS,
            agent=AgentShown.of(account),
        )
        return answered(tokens.model_dump())

    def _forgotten(self, content: dict[str, object]) -> Response:
        response = answered(content)
        if self._guard.cookie in request.cookies:
            self._guard.forget(response)
        return response


def _status(account: Account) -> Response:
    shown: dict[str, object] = {
        "status": account.status,
        "max_sessions": account.max_sessions,
        "last_heartbeat": None if account.heartbeat_ms is None else account.heartbeat_ms / 1000,
    }
    return answered({"success": True, **shown})
