"""The accounts of the desk: who may sign in, with which role, and whether somebody is there.

Whatever takes a right away (another role, a new password, switching the account off) ends its sign-ins in the
same transaction, and leaves its line in the audit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from errors import Conflict, NotFound
from storage.agent_events import EVERYONE, tell
from storage.agent_logins import has_live, revoke_all
from storage.agents_tables import DeskAgent
from storage.audit import By, record
from storage.db import Database, changed, now_ms
from support.agent import Agent, Role

Status = Literal["online", "busy", "offline"]
SILENCE_MS = 90_000
"""Without a heartbeat for so long an agent counts as offline: three of them were missed."""
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is now. Moments are unix milliseconds."""

    id: int
    username: str
    name: str
    role: Role
    enabled: bool
    status: Status
    """Offline also when the heartbeat stayed out."""
    max_sessions: int
    avatar_url: str
    created_ms: int
    last_login_ms: int | None
    heartbeat_ms: int | None

    @property
    def agent(self) -> Agent:
        return Agent(self.id, self.username, self.name, self.role)


class Agents:
    """The table of accounts. `Unavailable` when the database does not answer."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(
        self,
        by: By,
        *,
        username: str,
        name: str,
        role: Role,
        password_hash: str,
        max_sessions: int,
        avatar_url: str = "",
    ) -> Account:
        """Makes an account. Raises `Conflict` when there is one of this name, also one switched off."""

        def step(session: Session) -> Account:
            row = DeskAgent(
                username=username,
                name=name,
                role=role,
                password_hash=password_hash,
                enabled=True,
                status="offline",
                max_sessions=max_sessions,
                avatar_url=avatar_url,
                created_ms=now_ms(),
            )
            session.add(row)
            session.flush()
            record(session, by, "account.created", username, {"role": role, "max_sessions": max_sessions})
            return account_of(row)

        try:
            return self.db.transact(step)
        except IntegrityError:
            raise Conflict("there is an account of this name already") from None

    def get(self, username: str) -> Account | None:
        """The account of this name, whether or not it is switched on."""
        with self.db.read() as session:
            row = session.scalar(select(DeskAgent).where(DeskAgent.username == username))
        return None if row is None else account_of(row)

    def all(self, *, disabled: bool = False) -> list[Account]:
        """Every account by name; those switched off only where asked for."""
        query = select(DeskAgent).order_by(DeskAgent.username)
        if not disabled:
            query = query.where(DeskAgent.enabled)
        now = now_ms()
        with self.db.read() as session:
            return [account_of(row, now) for row in session.scalars(query)]

    def names(self, usernames: Collection[str]) -> dict[str, str]:
        """What these agents are called, as far as there are accounts."""
        query = select(DeskAgent.username, DeskAgent.name).where(DeskAgent.username.in_(usernames))
        with self.db.read() as session:
            return {row.username: row.name for row in session.execute(query)} if usernames else {}

    def credentials(self, username: str) -> tuple[Account, str] | None:
        """The account and its password's hash; None when there is none, or it is switched off."""
        query = select(DeskAgent).where(DeskAgent.username == username, DeskAgent.enabled)
        with self.db.read() as session:
            row = session.scalar(query)
        return None if row is None else (account_of(row), row.password_hash)

    def change(self, by: By, username: str, changes: Mapping[str, object]) -> Account:
        """Sets `name`, `avatar_url`, `role`, `max_sessions` and `enabled`, as far as given.

        Another role and switching off end every sign-in. Raises `NotFound`; `Conflict` when nobody would be
        left who keeps the accounts.
        """

        def step(session: Session) -> Account:
            # in one order for everybody: two admins who demote each other must not both succeed
            admins = session.scalars(
                select(DeskAgent.username)
                .where(DeskAgent.role == "admin", DeskAgent.enabled)
                .order_by(DeskAgent.id)
                .with_for_update()
            ).all()
            row = self._locked(session, username)
            fresh = {name: value for name, value in changes.items() if getattr(row, name) != value}
            if not fresh:
                return account_of(row)
            loses = fresh.get("role", "admin") != "admin" or fresh.get("enabled") is False
            if loses and list(admins) == [username]:
                raise Conflict("this is the last admin")
            for name, value in fresh.items():
                setattr(row, name, value)
            if row.enabled is False:
                row.status = "offline"
            record(session, by, "account.changed", username, fresh)
            session.flush()
            if fresh.keys() & {"role", "enabled"}:
                revoke_all(session, row.id)
            return account_of(row)

        return self.db.transact(step)

    def set_password(
        self, by: By, username: str, password_hash: str, *, action: str, was: str | None = None
    ) -> Account:
        """Sets the password and ends every sign-in. `NotFound`; `Conflict` when it is no longer `was`."""

        def step(session: Session) -> Account:
            row = self._locked(session, username)
            if was is not None and row.password_hash != was:
                raise Conflict("the password has just been changed")
            row.password_hash = password_hash
            record(session, by, action, username)
            session.flush()
            revoke_all(session, row.id)
            return account_of(row)

        return self.db.transact(step)

    def rehash(self, agent_id: int, was: str, password_hash: str) -> None:
        """Keeps the same password under another hash, unless it has changed meanwhile."""
        same = (DeskAgent.id == agent_id, DeskAgent.password_hash == was)
        statement = update(DeskAgent).where(*same).values(password_hash=password_hash)
        self.db.transact(lambda session: changed(session.execute(statement)))

    def set_status(self, by: By, agent: Agent, status: Status) -> Account:
        """What the agent says about being there; every agent's page learns it."""

        def step(session: Session) -> Account:
            row = self._locked(session, agent.username)
            before, row.status, row.heartbeat_ms = account_of(row).status, status, now_ms()
            session.flush()
            if before != status:
                record(session, by, "status.changed", agent.username, {"status": status})
                _say(session, agent.username, status)
            return account_of(row)

        return self.db.transact(step)

    def heartbeat(self, agent: Agent) -> None:
        """The agent's page is open. Who was silent too long is back with the status chosen last."""
        statement = update(DeskAgent).where(DeskAgent.id == agent.id).values(heartbeat_ms=now_ms())
        self.db.transact(lambda session: changed(session.execute(statement)))

    def gone(self, agent: Agent) -> None:
        """After a sign-out: without another sign-in, the agent is offline."""

        def step(session: Session) -> None:
            if has_live(session, agent.id):
                return
            there = (DeskAgent.id == agent.id, DeskAgent.status != "offline")
            if changed(session.execute(update(DeskAgent).where(*there).values(status="offline"))):
                _say(session, agent.username, "offline")

        self.db.transact(step)

    def _locked(self, session: Session, username: str) -> DeskAgent:
        row = session.scalar(select(DeskAgent).where(DeskAgent.username == username).with_for_update())
        if row is None:
            raise NotFound("there is no such account")
        return row


def account_of(row: DeskAgent, now: int | None = None) -> Account:
    """The row as others see it."""
    now = now_ms() if now is None else now
    silent = row.heartbeat_ms is None or now - row.heartbeat_ms > SILENCE_MS
    return Account(
        id=row.id,
        username=row.username,
        name=row.name,
        role=_ROLE.get(row.role, "guest"),
        enabled=row.enabled,
        status="offline" if silent else _STATUS.get(row.status, "offline"),
        max_sessions=row.max_sessions,
        avatar_url=row.avatar_url,
        created_ms=row.created_ms,
        last_login_ms=row.last_login_ms,
        heartbeat_ms=row.heartbeat_ms,
    )


def _say(session: Session, username: str, status: Status) -> None:
    tell(session, EVERYONE, "agent_status", {"username": username, "status": status})


_ROLE: dict[str, Role] = {role: role for role in ROLES}
_STATUS: dict[str, Status] = {status: status for status in get_args(Status)}
