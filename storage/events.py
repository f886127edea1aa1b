"""Visitor events: what the open page of a customer learns without having asked.

Rows are only added, and live for a day. The writer adds one in the transaction that caused it; each worker
looks for new ones with a single query, however many pages are open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from handler.message import VisitorEvent as Event
from storage.db import Database, changed, now_ms
from storage.events_tables import VisitorEvent
from storage.models import DialogueSession

KEPT_MS = 24 * 3600 * 1000
"""How long a page that was away can catch up."""
PURGED_AT_ONCE = 1_000


class Published(NamedTuple):
    """An event and the dialogue it belongs to."""

    session_id: int
    event: Event


def publish(session: Session, session_id: int, kind: str, payload: Mapping[str, object]) -> int:
    """Adds an event to a dialogue in the caller's transaction; returns its id.

    `kind` becomes the `type` that the page reads, `payload` its other fields. Raises `LookupError` when there
    is no such dialogue.
    """
    # the row's lock is held until the commit: of two writers the second gets the greater id and commits
    # later, so that a reader who has seen an id has seen all before it
    touched = update(DialogueSession).where(DialogueSession.id == session_id).values(updated_ms=now_ms())
    if not changed(session.execute(touched)):
        raise LookupError(f"session {session_id}")
    event = VisitorEvent(session_id=session_id, kind=kind, payload=dict(payload), created_ms=now_ms())
    session.add(event)
    session.flush()
    return event.id


class Events:
    """The reading side, and the end of old events."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def newest(self) -> int:
        """The greatest id there is; 0 before the first event."""
        with self.db.read() as session:
            return session.scalar(select(func.max(VisitorEvent.id))) or 0

    def since(self, after: int, limit: int = 1_000) -> list[Published]:
        """Events of every dialogue with a greater id, oldest first."""
        statement = select(VisitorEvent).where(VisitorEvent.id > after).order_by(VisitorEvent.id).limit(limit)
        with self.db.read() as session:
            return [_published(each) for each in session.scalars(statement)]

    def of_dialogue(self, session_id: int, after: int, limit: int = 1_000) -> list[Event]:
        """One dialogue's events with a greater id, oldest first."""
        statement = (
            select(VisitorEvent)
            .where(VisitorEvent.session_id == session_id, VisitorEvent.id > after)
            .order_by(VisitorEvent.id)
            .limit(limit)
        )
        with self.db.read() as session:
            return [_published(each).event for each in session.scalars(statement)]

    def purge(self, now: int | None = None) -> int:
        """Deletes events older than a day; returns how many."""
        before = (now_ms() if now is None else now) - KEPT_MS
        gone = 0
        while True:
            with self.db.read() as session:
                old = select(VisitorEvent.id).where(VisitorEvent.created_ms < before).limit(PURGED_AT_ONCE)
                ids = session.scalars(old).all()
            if not ids:
                return gone
            statement = delete(VisitorEvent).where(VisitorEvent.id.in_(ids))
            gone += self.db.transact(lambda session, each=statement: changed(session.execute(each)))  # type: ignore[misc]


def _published(row: VisitorEvent) -> Published:
    return Published(row.session_id, Event(row.id, row.kind, row.payload))
