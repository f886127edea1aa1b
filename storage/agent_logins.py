"""Sign-ins: each is a row that every token descending from it needs, so that ending it ends them all.

A refresh token is good once. The one that comes next is named by the row's generation, and one conditional
update decides who gets it. Used again it is a sign of theft and ends the sign-in, except in the first
seconds: then it is far more often a client that asked twice, and gets nothing but a `Conflict`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.orm import Session

from errors import Conflict, Unauthorized
from storage.agent_events import tell
from storage.agents_tables import AgentLogin, DeskAgent
from storage.audit import By, record
from storage.db import Database, changed, now_ms
from storage.sign_in_attempts import forgive
from support.agent import Agent, Role

Kind = Literal["api", "browser"]
LIFE_MS: dict[Kind, int] = {"api": 7 * 24 * 3_600_000, "browser": 12 * 3_600_000}
"""How long a sign-in lasts: an API client's from its last renewal; a browser's, a shift."""
GRACE_MS = 10_000
"""How long after a renewal the used token is taken for a client that asked twice, and not for a thief's."""
KEPT_MS = 30 * 24 * 3_600_000
"""How long an ended sign-in stays as a row."""


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in that is good, and whose it is."""

    id: str
    agent: Agent
    generation: int
    kind: Kind
    expires_ms: int


class Logins:
    """The table of sign-ins. `Unavailable` when the database does not answer."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def open(self, by: By, username: str, password_hash: str, kind: Kind, device: str, counted: str) -> Login:
        """Begins a sign-in for whoever has just proved the password of this hash.

        Forgives the attempt counted for the address `counted`. Raises `Unauthorized` when the account was
        switched off or got another password meanwhile.
        """

        def step(session: Session) -> Login:
            now = now_ms()
            # the lock decides between this and a password change: nobody is left signed in with the old one
            row = session.scalar(
                select(DeskAgent)
                .where(
                    DeskAgent.username == username,
                    DeskAgent.password_hash == password_hash,
                    DeskAgent.enabled,
                )
                .with_for_update()
            )
            if row is None:
                raise Unauthorized("the user name or the password is wrong")
            login = AgentLogin(
                id=secrets.token_hex(16),
                agent_id=row.id,
                kind=kind,
                device=device,
                generation=1,
                created_ms=now,
                renewed_ms=now,
                expires_ms=now + LIFE_MS[kind],
            )
            row.last_login_ms = now
            session.add(login)
            forgive(session, username, counted)
            record(session, by, "sign_in", username, {"kind": kind, "device": device})
            return _login(login, row)

        return self.db.transact(step)

    def get(self, login_id: str, now: int | None = None) -> Login | None:
        """The sign-in, with the role its account has now; None when it has ended or the account is off."""
        query = (
            select(AgentLogin, DeskAgent)
            .join(DeskAgent, DeskAgent.id == AgentLogin.agent_id)
            .where(AgentLogin.id == login_id, _live(now_ms() if now is None else now), DeskAgent.enabled)
        )
        with self.db.read() as session:
            found = session.execute(query).first()
        return None if found is None else _login(found[0], found[1])

    def renew(self, by: By, login_id: str, generation: int, now: int | None = None) -> Login:
        """Uses the refresh token of this generation up. Of several callers at once exactly one succeeds.

        Raises `Conflict` for a token used up in the last seconds, and `Unauthorized` for one that is no
        longer good; one that was used up earlier ends the sign-in.
        """
        now = now_ms() if now is None else now

        def step(session: Session) -> Login | Literal["used", "reused", "over"]:
            moved = (
                update(AgentLogin)
                .where(AgentLogin.id == login_id, AgentLogin.generation == generation, _live(now))
                .where(AgentLogin.kind == "api")
                .values(generation=generation + 1, renewed_ms=now, expires_ms=now + LIFE_MS["api"])
            )
            won = changed(session.execute(moved))
            found = session.execute(
                select(AgentLogin, DeskAgent)
                .join(DeskAgent, DeskAgent.id == AgentLogin.agent_id)
                .where(AgentLogin.id == login_id, _live(now), DeskAgent.enabled)
            ).first()
            if found is None:
                return "over"
            login, row = found
            if won:
                return _login(login, row)
            if generation >= login.generation:
                return "over"
            if generation == login.generation - 1 and now - login.renewed_ms <= GRACE_MS:
                return "used"
            login.revoked_ms = now
            record(session, by, "sign_in.reused", row.username, {"device": login.device})
            session.flush()
            tell(session, row.id, "signed_out", {})
            return "reused"

        outcome = self.db.transact(step)
        if isinstance(outcome, Login):
            return outcome
        if outcome == "used":
            raise Conflict("the refresh token has just been used: go on with what that call got")
        raise Unauthorized("the sign-in has ended: sign in again")

    def end(self, by: By, login: Login) -> None:
        """Signs out here."""

        def step(session: Session) -> None:
            ended = update(AgentLogin).where(AgentLogin.id == login.id, AgentLogin.revoked_ms.is_(None))
            if changed(session.execute(ended.values(revoked_ms=now_ms()))):
                record(session, by, "sign_out", login.agent.username)

        self.db.transact(step)

    def end_all(self, by: By, agent: Agent) -> int:
        """Signs out everywhere; returns how many sign-ins ended."""

        def step(session: Session) -> int:
            record(session, by, "sign_out.everywhere", agent.username)
            session.flush()
            return revoke_all(session, agent.id)

        return self.db.transact(step)

    def purge(self, now: int | None = None) -> int:
        """Deletes rows of sign-ins that ended long ago; returns how many."""
        before = (now_ms() if now is None else now) - KEPT_MS
        old = delete(AgentLogin).where(AgentLogin.expires_ms < before)
        return self.db.transact(lambda session: changed(session.execute(old)))


def revoke_all(session: Session, agent_id: int) -> int:
    """Ends every sign-in of an account in the caller's transaction; open pages learn it. Call it last."""
    now = now_ms()
    live = update(AgentLogin).where(AgentLogin.agent_id == agent_id, _live(now))
    ended = changed(session.execute(live.values(revoked_ms=now)))
    if ended:
        tell(session, agent_id, "signed_out", {})
    return ended


def has_live(session: Session, agent_id: int) -> bool:
    """Whether the account is signed in anywhere."""
    query = select(AgentLogin.id).where(AgentLogin.agent_id == agent_id, _live(now_ms())).limit(1)
    return session.scalar(query) is not None


def _live(now: int) -> ColumnElement[bool]:
    return and_(AgentLogin.revoked_ms.is_(None), AgentLogin.expires_ms > now)


def _login(login: AgentLogin, row: DeskAgent) -> Login:
    role: Role = row.role  # type: ignore[assignment] # written by this program only
    kind: Kind = login.kind  # type: ignore[assignment]
    agent = Agent(row.id, row.username, row.name, role)
    return Login(login.id, agent, login.generation, kind, login.expires_ms)
