"""Who of the agents is there, and has room: from their accounts, and from the sessions they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from errors import Conflict, NotFound
from handler.handoff import OWNED, Person
from storage.agent_events import EVERYONE
from storage.agents import SILENCE_MS, account_of
from storage.agents_tables import DeskAgent
from storage.audit import By, record
from storage.db import Database, now_ms
from storage.handoff_news import News
from storage.handoff_tables import Handoff, HandoffStep

ACTING = ("agent", "supervisor", "admin")
"""Roles that serve customers; support/rights.py says so, too."""


class Presence:
    """Looks afresh each time. `clock` gives unix milliseconds."""

    def __init__(self, db: Database, clock: Callable[[], int] = now_ms) -> None:
        self.db = db
        self.clock = clock

    def is_there(self, username: str, acted_ms: int = 0) -> bool:
        """Whether an agent can be expected to answer.

        Who did something for the customer at `acted_ms` needs no heartbeat for a while; who said that they
        are offline, or whose account is off, is not there.
        """
        now = self.clock()
        with self.db.read() as session:
            row = session.scalar(select(DeskAgent).where(DeskAgent.username == username, DeskAgent.enabled))
            if row is None or row.status == "offline":
                return False
            return account_of(row, now).status != "offline" or now - acted_ms <= SILENCE_MS

    def colleague(self, username: str) -> Person:
        """The agent of this name, who may serve customers; `NotFound` when there is none."""
        known = select(DeskAgent).where(DeskAgent.username == username.lower(), DeskAgent.enabled)
        with self.db.read() as session:
            row = session.scalar(known)
        if row is None or row.role not in ACTING:
            raise NotFound("there is no such agent")
        return Person(row.id, row.username, row.name)

    def next_for(self, waiting: Handoff) -> Person | None:
        """Who of those online has the fewest sessions for their room, and has not let this one go already."""
        now = self.clock()
        with self.db.read() as session:
            rows = session.scalars(
                select(DeskAgent).where(DeskAgent.enabled, DeskAgent.role.in_(ACTING)).order_by(DeskAgent.id)
            ).all()
            counted = session.execute(
                select(Handoff.agent_username, func.count())
                .where(Handoff.status.in_(OWNED), Handoff.agent_username.is_not(None))
                .group_by(Handoff.agent_username)
            )
            load: dict[str, int] = {str(username): number for username, number in counted}
            withdrawn = session.scalars(
                select(HandoffStep).where(
                    HandoffStep.session_id == waiting.session_id,
                    HandoffStep.action == "withdraw",
                    HandoffStep.created_ms >= (waiting.pending_ms or 0),
                )
            )
            had = {each.details.get("from") for each in withdrawn}
        free = [
            (load.get(row.username, 0) / row.max_sessions, row.id, row)
            for row in rows
            if account_of(row, now).status == "online"
            and load.get(row.username, 0) < row.max_sessions
            and row.username not in had
        ]
        if not free:
            return None
        row = min(free)[2]
        return Person(row.id, row.username, row.name)


def make_room(session: Session, who: Person, now: int, *, arrives: bool) -> Sequence[News]:
    """Holds the agent's row until the commit, so that nobody is given more sessions than they have room for.

    `Conflict` when there is no room. `arrives`: the agent takes it themselves, and is online from now on;
    returns what others are to learn of that. Who has no account, as a server with its API key, has room for
    everything.
    """
    mine = select(DeskAgent).where(DeskAgent.id == who.id, DeskAgent.username == who.username)
    fresh = mine.with_for_update().execution_options(populate_existing=True)
    row = session.scalar(fresh) if who.id else None
    if row is None:
        return ()
    live = select(func.count()).where(Handoff.status == "manual_live", Handoff.agent_username == who.username)
    number = session.scalar(live) or 0
    if number >= row.max_sessions:
        raise Conflict(f"AT_CAPACITY: {who.name} has {number} of {row.max_sessions} sessions")
    if not arrives:
        return ()
    came = row.status == "offline"
    row.heartbeat_ms = now
    if came:
        row.status = "online"
        record(session, By(who.username), "status.changed", who.username, {"status": "online"})
    session.flush()
    return ((EVERYONE, "agent_status", {"username": who.username, "status": "online"}),) if came else ()
