"""Canned replies: what agents say often, kept by supervisors. Every change leaves its line in the audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from errors import Conflict, NotFound
from storage.audit import By, record
from storage.canned_tables import CannedReply
from storage.db import Database, changed, now_ms

MOST = 500
"""How many are shown at all."""
TAKEN = "there is a canned reply of this shortcut already"
GONE = "there is no such canned reply"


@dataclass(frozen=True, slots=True)
class Canned:
    """A canned reply: `/shortcut` becomes `text`."""

    id: int
    shortcut: str
    text: str


class CannedReplies:
    """The table. `Unavailable` when the database does not answer."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def all(self) -> list[Canned]:
        """Every one, by its shortcut."""
        with self.db.read() as session:
            rows = session.scalars(select(CannedReply).order_by(CannedReply.shortcut).limit(MOST))
            return [Canned(row.id, row.shortcut, row.text) for row in rows]

    def add(self, by: By, shortcut: str, text: str) -> Canned:
        """A new one; `Conflict` when the shortcut is taken."""

        def step(session: Session) -> Canned:
            row = CannedReply(shortcut=shortcut, text=text, updated_by=by.username, updated_ms=now_ms())
            session.add(row)
            session.flush()
            record(session, by, "canned.added", str(row.id), {"shortcut": shortcut})
            return Canned(row.id, shortcut, text)

        return self._unless_taken(step)

    def change(self, by: By, number: int, shortcut: str, text: str) -> Canned:
        """Rewrites it. `NotFound`; `Conflict` when the shortcut is another's."""
        values = {"shortcut": shortcut, "text": text, "updated_by": by.username, "updated_ms": now_ms()}

        def step(session: Session) -> Canned:
            fresh = update(CannedReply).where(CannedReply.id == number).values(values)
            if not changed(session.execute(fresh)):
                raise NotFound(GONE)
            record(session, by, "canned.changed", str(number), {"shortcut": shortcut})
            return Canned(number, shortcut, text)

        return self._unless_taken(step)

    def remove(self, by: By, number: int) -> None:
        """Deletes it; `NotFound` when it is gone already."""

        def step(session: Session) -> None:
            if not changed(session.execute(delete(CannedReply).where(CannedReply.id == number))):
                raise NotFound(GONE)
            record(session, by, "canned.removed", str(number))

        self.db.transact(step)

    def _unless_taken(self, step: Callable[[Session], Canned]) -> Canned:
        try:
            return self.db.transact(step)
        except IntegrityError:
            raise Conflict(TAKEN) from None
