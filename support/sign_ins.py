"""Signing in and out, and passwords: the steps, in an order that leaves nothing open."""

from __future__ import annotations

from dataclasses import replace

from errors import BadRequest, NotFound, TooManyRequests, Unauthorized
from storage.agent_logins import Kind, Login, Logins
from storage.agents import Account, Agents
from storage.audit import By
from storage.sign_in_attempts import Attempts
from support.agent import Agent, Role
from support.passwords import LONGEST, Passwords, require_good

WRONG = "the user name or the password is wrong"
"""For every reason: who tries names must not learn which there are."""


class Throttled(TooManyRequests):
    """Too many attempts; `seconds` until the next one counts."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many attempts: try again in {seconds} seconds")
        self.seconds = seconds


class SignIns:
    """What the endpoints and the command line do with accounts."""

    def __init__(self, agents: Agents, logins: Logins, attempts: Attempts, passwords: Passwords) -> None:
        self.agents = agents
        self.logins = logins
        self.attempts = attempts
        self.passwords = passwords

    def enter(self, by: By, username: str, password: str, *, kind: Kind, device: str, address: str) -> Login:
        """Signs in. Raises `Throttled`; `Unauthorized`, in the same words and time whatever the reason."""
        username = username.strip().lower()
        by = replace(by, username=username)
        self._count(by, username, address)
        found = self.agents.credentials(username)
        if not self._fits(found, password) or found is None:
            self.attempts.failed(username, by)
            raise Unauthorized(WRONG)
        account, stored = found
        if self.passwords.is_dated(stored):
            fresh = self.passwords.hash(password)
            self.agents.rehash(account.id, stored, fresh)
            stored = fresh
        return self.logins.open(by, username, stored, kind, device, address)

    def leave(self, by: By, login: Login) -> None:
        """Signs out here; without another sign-in the agent is offline."""
        self.logins.end(by, login)
        self.agents.gone(login.agent)

    def leave_everywhere(self, by: By, agent: Agent) -> int:
        """Signs out on every device; returns how many sign-ins ended."""
        ended = self.logins.end_all(by, agent)
        self.agents.gone(agent)
        return ended

    def change_password(self, by: By, agent: Agent, old: str, new: str, address: str) -> None:
        """Sets one's own password, which ends every sign-in. Raises `BadRequest` for a wrong or bad one.

        Guesses at the old one are counted like those at the door: a page left open is no way around them.
        """
        self._count(by, agent.username, address)
        found = self.agents.credentials(agent.username)
        if not self._fits(found, old) or found is None:
            self.attempts.failed(agent.username, by)
            raise BadRequest("the present password is wrong")
        self.attempts.forgiven(agent.username, address)
        require_good(new, agent.username, agent.name)
        if old == new:
            raise BadRequest("the new password is the present one")
        self.agents.set_password(
            by, agent.username, self.passwords.hash(new), action="password.changed", was=found[1]
        )
        self.agents.gone(agent)

    def reset_password(self, by: By, username: str, new: str) -> None:
        """Sets somebody's password, which ends their sign-ins and their wait. `NotFound`, `BadRequest`."""
        account = self.agents.get(username)
        if account is None:
            raise NotFound("there is no such account")
        require_good(new, username, account.name)
        self.agents.set_password(by, username, self.passwords.hash(new), action="password.reset")
        self.attempts.forgiven(username, "")
        self.agents.gone(account.agent)

    def create(
        self,
        by: By,
        *,
        username: str,
        name: str,
        role: Role,
        password: str,
        max_sessions: int,
        avatar_url: str = "",
    ) -> Account:
        """Makes an account. Raises `BadRequest` for a bad password, `Conflict` for a name that is taken."""
        require_good(password, username, name)
        return self.agents.add(
            by,
            username=username,
            name=name,
            role=role,
            password_hash=self.passwords.hash(password),
            max_sessions=max_sessions,
            avatar_url=avatar_url,
        )

    def _count(self, by: By, username: str, address: str) -> None:
        if wait := self.attempts.count(username, address, by):
            raise Throttled(-(-wait // 1000))

    def _fits(self, found: tuple[Account, str] | None, password: str) -> bool:
        # nothing that long was ever set; it costs the same time all the same
        given = password if len(password) <= LONGEST * 4 else ""
        return self.passwords.fits(found[1] if found else None, given)
