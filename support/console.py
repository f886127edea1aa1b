"""The pages below `/console`: sign-in, who is signed in, one's password, and the accounts for admins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from flask import Response, request

from adapters.base import validated
from errors import BadRequest, Unauthorized, YingdaError
from storage.agents import Account
from support import pages
from support.agent import Agent
from support.bodies import AgentChange, Credentials, NewAgent, StatusChange
from support.pages import form, page, see
from support.rights import ROLES, Action, allows
from support.routes import DeskRoute, entered, opened
from support.sign_ins import SignIns
from support.signed_in import SignedIn, by, caller_address
from support.words import explained

View = Callable[..., Response]


class Console:
    """The pages; every form is answered with a redirect, or with the same page and what is wrong."""

    def __init__(self, sign_ins: SignIns, guard: SignedIn) -> None:
        self._sign_ins = sign_ins
        self._agents = sign_ins.agents
        self.guard = guard

    def routes(self) -> Sequence[DeskRoute]:
        html = "text/html"

        def inside(action: Action, path: str, method: str, view: View, summary: str) -> DeskRoute:
            return DeskRoute(f"/console{path}", (method,), entered(self.guard, action, view, self.refused),
                             summary, content_type=html, tag="console", action=action)  # fmt: skip

        def outside(path: str, method: str, view: View, summary: str) -> DeskRoute:
            return DeskRoute(f"/console{path}", (method,), opened(view, self.refused),
                             summary, content_type=html, tag="console")  # fmt: skip

        one = "/accounts/<username>"
        return (
            outside("/login", "GET", self.login_page, "Page to sign in"),
            outside("/login", "POST", self.sign_in, "Sign in with a cookie"),
            outside("/static/<name>", "GET", pages.static, "Styles and scripts of the pages"),
            inside("profile.read", "/account", "GET", self.home, "Who is signed in"),
            inside("status.set", "/status", "POST", self.set_status, "Set the status"),
            inside("profile.sign_out", "/logout", "POST", self.sign_out, "Sign out"),
            inside("profile.sign_out", "/logout-everywhere", "POST", self.sign_out_everywhere,
                   "Sign out on every device"),
            inside("profile.password", "/password", "GET", self.password_page, "Page to change the password"),
            inside("profile.password", "/password", "POST", self.change_password, "Change the password"),
            inside("accounts.administer", "/accounts", "GET", self.accounts, "The accounts"),
            inside("accounts.create", "/accounts", "POST", self.create, "Make an account"),
            inside("accounts.administer", f"{one}/change", "POST", self.change, "Change an account"),
            inside("accounts.administer", f"{one}/on", "POST", self.switch_on, "Switch an account on"),
            inside("accounts.remove", f"{one}/off", "POST", self.switch_off, "Switch an account off"),
            inside("accounts.reset_password", f"{one}/password", "POST", self.reset_password,
                   "Set another's password"),
        )  # fmt: skip

    def login_page(self) -> Response:
        try:
            self.guard.login()
        except YingdaError:
            return page("login.html", username="", error="")
        return see("/console")

    def sign_in(self) -> Response:
        self.guard.from_own_page()
        fields = form()
        try:
            body = validated(Credentials, _known(fields, "username", "password"))
            login = self._sign_ins.enter(
                by("-"),
                body.username,
                body.password.get_secret_value(),
                kind="browser",
                device=request.headers.get("User-Agent", "")[:128],
                address=caller_address(),
            )
        except YingdaError as error:
            username = fields.get("username", "")[:64]
            return page("login.html", error.status, username=username, error=explained(error, pages.words()))
        response = see("/console")
        self.guard.keep(response, login)
        return response

    def home(self, agent: Agent, error: str = "", status: int = 200) -> Response:
        account = self._account(agent)
        return page("home.html", status, account=account, error=error, at=_moment,
                    can=lambda action: allows(agent.role, action, None))  # fmt: skip

    def set_status(self, agent: Agent) -> Response:
        try:
            chosen = validated(StatusChange, _known(form(), "status")).status
        except BadRequest as error:
            return self.home(agent, explained(error, pages.words()), error.status)
        self._agents.set_status(by(agent.username), agent, chosen)
        return see("/console/account?done=status")

    def sign_out(self, agent: Agent) -> Response:
        self._sign_ins.leave(by(agent.username), self.guard.login())
        return self._left("signed_out")

    def sign_out_everywhere(self, agent: Agent) -> Response:
        self._sign_ins.leave_everywhere(by(agent.username), agent)
        return self._left("signed_out")

    def password_page(self, agent: Agent, error: str = "", status: int = 200) -> Response:
        return page("password.html", status, account=self._account(agent), error=error)

    def change_password(self, agent: Agent) -> Response:
        fields = form()
        try:
            if fields.get("new") != fields.get("again"):
                raise BadRequest("the two new passwords differ")
            self._sign_ins.change_password(
                by(agent.username), agent, fields.get("old", ""), fields.get("new", ""), caller_address()
            )
        except YingdaError as error:
            return self.password_page(agent, explained(error, pages.words()), error.status)
        return self._left("password")

    def accounts(
        self, agent: Agent, error: str = "", status: int = 200, fields: Mapping[str, str] | None = None
    ) -> Response:
        # what was typed stays, but for the password
        typed = {"username": "", "name": "", "role": "agent", **(fields or {})}
        return page(
            "accounts.html",
            status,
            account=self._account(agent),
            accounts=self._agents.all(disabled=True),
            roles=ROLES,
            typed=typed,
            error=error,
            at=_moment,
        )

    def create(self, agent: Agent) -> Response:
        fields = form()
        try:
            body = validated(NewAgent, _known(fields, "username", "password", "name", "role"))
            self._sign_ins.create(
                by(agent.username),
                username=body.username,
                name=body.name or body.username,
                role=body.role,
                password=body.password.get_secret_value(),
                max_sessions=body.max_sessions,
            )
        except YingdaError as error:
            return self._accounts_again(agent, error, fields)
        return see("/console/accounts?done=created")

    def change(self, agent: Agent, username: str) -> Response:
        fields: dict[str, object] = dict(_known(form(), "name", "role", "max_sessions"))
        if str(fields.get("max_sessions", "")).isdecimal():
            fields["max_sessions"] = int(str(fields["max_sessions"])[:4])
        try:
            changes = validated(AgentChange, fields).model_dump(exclude_unset=True)
            self._agents.change(by(agent.username), username, changes)
        except YingdaError as error:
            return self._accounts_again(agent, error)
        return see("/console/accounts?done=saved")

    def switch_on(self, agent: Agent, username: str) -> Response:
        return self._switched(agent, username, True)

    def switch_off(self, agent: Agent, username: str) -> Response:
        return self._switched(agent, username, False)

    def reset_password(self, agent: Agent, username: str) -> Response:
        try:
            self._sign_ins.reset_password(by(agent.username), username, form().get("password", ""))
        except YingdaError as error:
            return self._accounts_again(agent, error)
        return see("/console/accounts?done=saved")

    def _switched(self, agent: Agent, username: str, enabled: bool) -> Response:
        try:
            self._agents.change(by(agent.username), username, {"enabled": enabled})
        except YingdaError as error:
            return self._accounts_again(agent, error)
        return see("/console/accounts?done=saved")

    def _accounts_again(
        self, agent: Agent, error: YingdaError, fields: Mapping[str, str] | None = None
    ) -> Response:
        typed = {name: value[:64] for name, value in (fields or {}).items() if name != "password"}
        return self.accounts(agent, explained(error, pages.words()), error.status, typed)

    def _left(self, done: str) -> Response:
        response = see(f"/console/login?done={done}")
        self.guard.forget(response)
        return response

    def _account(self, agent: Agent) -> Account:
        account = self._agents.get(agent.username)
        if account is None:
            raise Unauthorized("the account is gone")
        return account

    def refused(self, error: YingdaError) -> Response:
        """An error as a page; whoever is not signed in is sent to do that."""
        if isinstance(error, Unauthorized):
            had = self.guard.cookie in request.cookies
            response = see("/console/login?done=ended" if had else "/console/login")
            self.guard.forget(response)
            return response
        return page("problem.html", error.status, title=_title(error), error=explained(error, pages.words()))


def _known(fields: Mapping[str, str], *names: str) -> dict[str, str]:
    """These fields, as far as something stands in them."""
    return {name: fields[name] for name in names if fields.get(name)}


def _title(error: YingdaError) -> str:
    return pages.words()["not_allowed" if error.status == 403 else "problem"]


def _moment(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(milliseconds / 1000))
