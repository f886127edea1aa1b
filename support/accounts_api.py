"""The desk's accounts and its audit: `/api/agents…` and `/api/audit`."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request

from adapters.base import read_body, validated
from errors import BadRequest
from storage.agents import Agents
from storage.audit import Audit
from support.agent import Agent
from support.bodies import (
    AgentAnswer,
    AgentChange,
    AgentsAnswer,
    AgentShown,
    AgentsQuery,
    AuditAnswer,
    AuditLine,
    AuditQuery,
    NewAgent,
    PasswordReset,
)
from support.rights import Action
from support.routes import DeskRoute, answered, entered
from support.sign_ins import SignIns
from support.signed_in import SignedIn, by

ONES_OWN = {"name", "avatar_url"}
"""What the holder of an account may change; everything else needs `accounts.administer`."""


class AccountsApi:
    """The endpoints about accounts."""

    def __init__(self, sign_ins: SignIns, audit: Audit, guard: SignedIn) -> None:
        self._sign_ins = sign_ins
        self._agents: Agents = sign_ins.agents
        self._audit = audit
        self._guard = guard

    def routes(self) -> Sequence[DeskRoute]:
        def route(action: Action, path: str, method: str, summary: str, **more: type) -> DeskRoute:
            view = entered(self._guard, action, getattr(self, action.split(".")[1]))
            return DeskRoute(path, (method,), view, summary, tag="desk", action=action, **more)  # type: ignore[arg-type]

        one = "/api/agents/<username>"
        return (
            route("accounts.list", "/api/agents", "GET", "The accounts", query=AgentsQuery,
                  answer=AgentsAnswer),
            route("accounts.create", "/api/agents", "POST", "Make an account", body=NewAgent,
                  answer=AgentAnswer),
            route("accounts.change", one, "PUT", "Change an account", body=AgentChange, answer=AgentAnswer),
            route("accounts.remove", one, "DELETE", "Switch an account off"),
            route("accounts.reset_password", f"{one}/reset-password", "POST", "Set another's password",
                  body=PasswordReset),
            DeskRoute("/api/audit", ("GET",), entered(self._guard, "audit.read", self.audit),
                      "Who did what", query=AuditQuery, answer=AuditAnswer, tag="desk", action="audit.read"),
        )  # fmt: skip

    def list(self, agent: Agent) -> Response:
        query = validated(AgentsQuery, request.args.to_dict())
        if query.all:
            self._guard.entitled("accounts.administer")
        shown = [AgentShown.of(account) for account in self._agents.all(disabled=query.all)]
        return answered(AgentsAnswer(agents=shown, total=len(shown)).model_dump())

    def create(self, agent: Agent) -> Response:
        body = validated(NewAgent, read_body(request))
        account = self._sign_ins.create(
            by(agent.username),
            username=body.username,
            name=body.name or body.username,
            role=body.role,
            password=body.password.get_secret_value(),
            max_sessions=body.max_sessions,
            avatar_url=body.avatar_url,
        )
        return answered(AgentAnswer(agent=AgentShown.of(account)).model_dump(), 201)

    def change(self, agent: Agent, username: str) -> Response:
        changes = validated(AgentChange, read_body(request)).model_dump(exclude_unset=True)
        if not changes:
            raise BadRequest("nothing to change was given")
        if changes.keys() - ONES_OWN:
            self._guard.entitled("accounts.administer", own=username == agent.username)
        account = self._agents.change(by(agent.username), username, changes)
        return answered(AgentAnswer(agent=AgentShown.of(account)).model_dump())

    def remove(self, agent: Agent, username: str) -> Response:
        self._agents.change(by(agent.username), username, {"enabled": False})
        return answered({"success": True})

    def reset_password(self, agent: Agent, username: str) -> Response:
        body = validated(PasswordReset, read_body(request))
        self._sign_ins.reset_password(by(agent.username), username, body.new_password.get_secret_value())
        return answered({"success": True})

    def audit(self, agent: Agent) -> Response:
        query = validated(AuditQuery, request.args.to_dict())
        found = self._audit.before(
            query.before,
            query.limit + 1,
            actor=query.actor,
            action=query.action,
            target=query.target,
            start_ms=None if query.start is None else round(query.start * 1000),
            end_ms=None if query.end is None else round(query.end * 1000),
        )
        shown = [AuditLine.of(entry) for entry in found[: query.limit]]
        last = shown[-1].id if len(found) > query.limit else None
        return answered(AuditAnswer(entries=shown, next=last).model_dump())
