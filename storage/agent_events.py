"""Agent events: what the open page of an agent learns without having asked. As visitor events, for agents.

A writer adds one in the transaction that caused it, and holds the one lock that orders all writers until
its commit: whoever has seen an id has seen every smaller one, whichever agents they were for.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from handler.message import VisitorEvent as Event
from storage.agents_tables import AgentEvent, AgentEventOrder
from storage.db import Database, changed, now_ms
from storage.events import KEPT_MS, PURGED_AT_ONCE, Published
from storage.only_row import write_only_row

EVERYONE = 0
PRESENCE = "presence"
"""Events of a moment: who looks at a session, who types."""
PRESENCE_MS = 10_000
"""How long such an event is kept, for the pages that listen."""
RECENT_MS = 600_000
"""How far back they are looked for; those of before a pause go with all the others."""


def tell(session: Session, agent_id: int, kind: str, payload: Mapping[str, object]) -> int:
    """Adds an event for one agent, or for `EVERYONE`, in the caller's transaction; returns its id.

    `kind` becomes the `type` that the page reads. Call it last: other writers wait until the commit.
    """
    now = now_ms()
    write_only_row(session, AgentEventOrder, {"written_ms": now}, {"written_ms": now})
    event = AgentEvent(agent_id=agent_id, kind=kind, payload=dict(payload), created_ms=now)
    session.add(event)
    session.flush()
    return event.id


class AgentEvents:
    """The reading side, in the form that `handler.listening` follows, and the end of old events."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def newest(self) -> int:
        """The greatest id there is; 0 before the first event."""
        with self.db.read() as session:
            return session.scalar(select(func.max(AgentEvent.id))) or 0

    def since(self, after: int, limit: int = 1_000) -> list[Published]:
        """Everybody's events with a greater id, oldest first."""
        query = select(AgentEvent).where(AgentEvent.id > after).order_by(AgentEvent.id).limit(limit)
        with self.db.read() as session:
            return [_published(each) for each in session.scalars(query)]

    def of_dialogue(self, session_id: int, after: int, limit: int = 1_000) -> list[Event]:
        """What the agent of this id should learn, with a greater id, oldest first."""
        query = (
            select(AgentEvent)
            .where(AgentEvent.agent_id.in_((session_id, EVERYONE)), AgentEvent.id > after)
            .order_by(AgentEvent.id)
            .limit(limit)
        )
        with self.db.read() as session:
            return [_published(each).event for each in session.scalars(query)]

    def purge_presence(self, now: int | None = None) -> int:
        """Deletes events of moments that have passed; returns how many."""
        now = now_ms() if now is None else now
        with self.db.read() as session:
            newest = session.scalar(select(func.max(AgentEvent.id))) or 0
            passed = session.scalars(
                select(AgentEvent.id).where(
                    AgentEvent.created_ms.between(now - RECENT_MS, now - PRESENCE_MS),
                    AgentEvent.kind == PRESENCE,
                    # the newest stays: a number that came again would be one that pages have seen already
                    AgentEvent.id < newest,
                )
            ).all()
        if not passed:
            return 0
        statement = delete(AgentEvent).where(AgentEvent.id.in_(passed))
        return self.db.transact(lambda session: changed(session.execute(statement)))

    def purge(self, now: int | None = None) -> int:
        """Deletes events older than a day; returns how many."""
        before = (now_ms() if now is None else now) - KEPT_MS
        gone = 0
        while True:
            with self.db.read() as session:
                old = select(AgentEvent.id).where(AgentEvent.created_ms < before).limit(PURGED_AT_ONCE)
                ids = session.scalars(old).all()
            if not ids:
                return gone
            statement = delete(AgentEvent).where(AgentEvent.id.in_(ids))
            gone += self.db.transact(lambda session, each=statement: changed(session.execute(each)))  # type: ignore[misc]


def _published(row: AgentEvent) -> Published:
    return Published(row.agent_id, Event(row.id, row.kind, row.payload))
