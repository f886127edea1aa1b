"""Who is signed in: the agent behind a request, by the token it shows or by the cookie of the console."""

from __future__ import annotations

import ipaddress

from flask import Response, g, request

from adapters.base import request_id
from errors import Forbidden, Unauthorized
from storage.agent_logins import LIFE_MS, Login, Logins
from storage.audit import By
from support.agent import Agent, Role
from support.guard import Guard
from support.origins import require_own_page
from support.rights import Action, allows
from support.tokens import AgentTokens


class SignedIn(Guard):
    """The `Guard` of the desk. The row of the sign-in is looked at in every request: what was revoked
    a moment ago opens nothing, and a role that was taken away is gone.
    """

    def __init__(self, logins: Logins, tokens: AgentTokens, *, secure: bool, public_url: str = "") -> None:
        self._logins = logins
        self._tokens = tokens
        self._secure = secure
        self._public_url = public_url
        # browsers take this prefix only with Secure, no Domain and the path /: no neighbour can set it
        self.cookie = "__Host-yingda_desk" if secure else "yingda_desk"

    def login(self) -> Login:
        """The request's sign-in. `Unauthorized` without a good one, `Forbidden` for a forged request."""
        found: Login | None = g.get("desk_login")
        if found is None:
            found = g.desk_login = self._find()
        return found

    def agent(self, *roles: Role) -> Agent:
        """The request's agent, who has one of these roles (none named: any).

        Raises `Unauthorized` without a valid sign-in, `Forbidden` for another role.
        """
        agent = self.login().agent
        if roles and agent.role not in roles:
            raise Forbidden("your role does not allow this")
        return agent

    def entitled(self, action: Action, own: bool | None = None) -> Agent:
        """The request's agent, who may do this, to an object of its own or of another (None: to some object).

        Raises as `agent`.
        """
        agent = self.login().agent
        if not allows(agent.role, action, own):
            raise Forbidden("your role does not allow this")
        return agent

    def from_own_page(self) -> None:
        """Raises `Forbidden` for a form that another site has sent."""
        require_own_page(request, self._public_url)

    def keep(self, response: Response, login: Login) -> None:
        """Signs the browser in."""
        response.set_cookie(
            self.cookie,
            self._tokens.issue(login, "browser"),
            max_age=LIFE_MS["browser"] // 1000,
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )

    def forget(self, response: Response) -> None:
        """Signs the browser out."""
        response.delete_cookie(self.cookie, secure=self._secure, httponly=True, samesite="Strict")

    def _find(self) -> Login:
        if "Authorization" in request.headers:
            scheme, _, token = request.headers["Authorization"].partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorized("a token is needed: Authorization: Bearer <token>")
            login_id, _ = self._tokens.read(token.strip(), "access")
        elif cookie := request.cookies.get(self.cookie):
            self.from_own_page()
            login_id, _ = self._tokens.read(cookie, "browser")
        else:
            raise Unauthorized("sign in first")
        login = self._logins.get(login_id)
        if login is None:
            raise Unauthorized("the sign-in has ended: sign in again")
        return login


def by(username: str) -> By:
    """This user as the author of what the present request does."""
    return By(username, request_id(), request.remote_addr or "")


def caller_address() -> str:
    """What counts as one address: whoever has an IPv6 address has 2^64 of them."""
    try:
        peer = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return request.remote_addr or ""
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return str(peer) if peer.version == 4 else str(ipaddress.ip_network(f"{peer}/64", strict=False))
