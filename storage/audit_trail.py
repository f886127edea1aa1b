"""The whole audit in the order of time: what was done to sessions, and what was done to all else.

Both are kept apart (storage/audit.py, and the steps of each session); a page of both is merged here. Its
cursor is the moment, the kind and the number of its last line, so that no line is missed or comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import and_, or_, select

from storage.audit import Audit, Entry
from storage.db import Database
from storage.handoff_tables import HandoffStep
from storage.models import DialogueSession

MOST = 2**62
"""More than any moment or number."""
Kind = Literal["desk", "session"]


class Place(NamedTuple):
    """Where a page ended: unix milliseconds, rank of the kind, number. Later places compare greater."""

    at_ms: int
    rank: int
    number: int

    def __str__(self) -> str:
        return f"{self.at_ms}-{self.rank}-{self.number}"


NEWEST = Place(MOST, 1, MOST)
WRITTEN = re.compile(r"([0-9]{1,18})-([01])-([0-9]{1,18})", re.ASCII)
RANK: Mapping[Kind, int] = {"desk": 0, "session": 1}


def place_of(written: str) -> Place | None:
    """The place that `str` made this of; None when it made none like it."""
    found = WRITTEN.fullmatch(written)
    return Place(*map(int, found.groups())) if found else None


@dataclass(frozen=True, slots=True)
class Sought:
    """Which lines are wanted; empty fields want all. Moments are unix milliseconds, the end not included."""

    actor: str = ""
    action: str = ""
    target: str = ""
    """An account, or whatever else an entry is about."""
    session_id: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that somebody did."""

    place: Place
    kind: Kind
    actor: str
    action: str
    target: str
    """Whom or what it was done to; empty for a session."""
    dialogue: DialogueSession | None
    change: tuple[str, str] | None
    """The session's state before and after, when it is another."""
    detail: Mapping[str, Any]
    address: str


class AuditTrail:
    """Only reads."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._audit = Audit(db)

    def page(
        self, sought: Sought, before: Place | None, limit: int, kinds: frozenset[Kind]
    ) -> tuple[list[Line], Place | None]:
        """`limit` lines of these kinds before a place, newest first, and the next page's `before`, if any."""
        place = before or NEWEST
        lines: list[Line] = []
        # a session is not what entries are about, and other things are not what is done to sessions
        if "desk" in kinds and sought.session_id is None:
            lines += self._entries(sought, _than(place, "desk"), limit + 1)
        if "session" in kinds and not sought.target:
            lines += self._steps(sought, _than(place, "session"), limit + 1)
        lines.sort(key=lambda line: line.place, reverse=True)
        shown = lines[:limit]
        return shown, shown[-1].place if len(lines) > limit else None

    def _entries(self, sought: Sought, than: tuple[int, int], limit: int) -> list[Line]:
        found = self._audit.older(
            than,
            limit,
            actor=sought.actor,
            action=sought.action,
            target=sought.target,
            start_ms=sought.start_ms,
            end_ms=sought.end_ms,
        )
        return [_entry(each) for each in found]

    def _steps(self, sought: Sought, than: tuple[int, int], limit: int) -> list[Line]:
        at_ms, number = than
        step = HandoffStep
        query = (
            select(step, DialogueSession)
            .join(DialogueSession, DialogueSession.id == step.session_id)
            .where(or_(step.created_ms < at_ms, and_(step.created_ms == at_ms, step.id < number)))
            .order_by(step.created_ms.desc(), step.id.desc())
            .limit(limit)
        )
        if sought.actor:
            query = query.where(step.actor == sought.actor)
        if sought.action:
            query = query.where(step.action == sought.action)
        if sought.session_id is not None:
            query = query.where(step.session_id == sought.session_id)
        if sought.start_ms is not None:
            query = query.where(step.created_ms >= sought.start_ms)
        if sought.end_ms is not None:
            query = query.where(step.created_ms < sought.end_ms)
        with self.db.read() as session:
            return [_step(row, dialogue) for row, dialogue in session.execute(query)]


def _than(place: Place, kind: Kind) -> tuple[int, int]:
    """The moment and number before which this kind goes on."""
    if RANK[kind] == place.rank:
        return place.at_ms, place.number
    return place.at_ms, MOST if RANK[kind] < place.rank else 0


def _entry(entry: Entry) -> Line:
    place = Place(entry.at_ms, RANK["desk"], entry.id)
    return Line(
        place, "desk", entry.actor, entry.action, entry.target, None, None, entry.detail, entry.address
    )


def _step(step: HandoffStep, dialogue: DialogueSession) -> Line:
    place = Place(step.created_ms, RANK["session"], step.id)
    change = (step.from_status, step.to_status) if step.from_status != step.to_status else None
    return Line(place, "session", step.actor, step.action, "", dialogue, change, step.details, "")
