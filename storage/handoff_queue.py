"""The queue: who waits, in which order, and how long that will take."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import func, select

from handler.handoff import OWNED, RANK, Priority, estimated_wait
from storage.db import Database, now_ms
from storage.exchange_rows import reply_of
from storage.handoff_tables import Handoff
from storage.models import Exchange
from storage.statements import among, is_one_of, table

USUAL_SECONDS = 180.0
"""What a session is believed to take while there are none to learn from."""
LEARNT_FROM = 50
BOT = ("coze", "fallback", "library", "system")
"""Sources of answers that count when it is asked how the bot fares."""

_handoffs = table(Handoff)
_owned = select(_handoffs.c.session_id).where(
    among(_handoffs.c.session_id, "dialogues"),
    is_one_of(_handoffs.c.status, OWNED),
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A customer in the queue; `place` 1 is the first."""

    row: Handoff
    priority: Priority
    place: int
    wait_seconds: float
    """How long it may still take."""


class HandoffQueue:
    """Looks at the waiting. `clock` gives unix milliseconds."""

    def __init__(self, db: Database, clock: Callable[[], int] = now_ms) -> None:
        self.db = db
        self.clock = clock

    def waiting(self) -> list[Waiting]:
        """Everybody who waits, the next one first."""
        now = self.clock()
        with self.db.read() as session:
            rows = session.scalars(select(Handoff).where(Handoff.status == "pending_manual")).all()
            if not rows:
                return []
            served = session.execute(
                select(Handoff.live_ms, Handoff.ended_ms)
                .where(Handoff.ended_ms.is_not(None), Handoff.live_ms.is_not(None))
                .order_by(Handoff.updated_ms.desc())
                .limit(LEARNT_FROM)
            ).all()
            agents = session.scalar(
                select(func.count(Handoff.agent_username.distinct())).where(Handoff.status == "manual_live")
            )
        took = [(ended - live) / 1000 for live, ended in served if live and ended and ended > live]
        usual = sum(took) / len(took) if took else USUAL_SECONDS
        ordered = sorted(rows, key=lambda row: (RANK[priority_of(row, now).level], row.pending_ms, row.id))
        return [
            Waiting(row, priority_of(row, now), place, estimated_wait(place, usual, agents or 0))
            for place, row in enumerate(ordered, 1)
        ]

    def owned(self, session_ids: Collection[int]) -> set[int]:
        """Those of the dialogues in which a person is waited for or answers."""
        return {row.session_id for row in self.db.ask(_owned, {"dialogues": session_ids})}

    def place(self, session_id: int) -> Waiting | None:
        """Where the dialogue stands; None when it does not wait."""
        return next((each for each in self.waiting() if each.row.session_id == session_id), None)

    def latest_answers(self, session_id: int, limit: int) -> list[Exchange]:
        """The newest answers of a dialogue since a person was last in it, newest first."""
        with self.db.read() as session:
            row = session.scalars(select(Handoff).where(Handoff.session_id == session_id)).first()
            since = max(row.ended_ms or 0, row.trigger_ms or 0) if row is not None else 0
            found = session.scalars(
                select(Exchange)
                .where(
                    Exchange.session_id == session_id,
                    Exchange.source.in_(BOT),
                    Exchange.kind != "leave",
                    Exchange.created_ms > since,
                )
                .order_by(Exchange.id.desc())
                .limit(limit)
            ).all()
        return [each for each in found if reply_of(each) is not None]


def priority_of(row: Handoff, now: int) -> Priority:
    """How urgent a row is at a moment, unix milliseconds."""
    since = row.pending_ms if row.status == "pending_manual" else None
    waited = max(0, now - since) / 1000 if since is not None else 0.0
    return Priority(row.vip, row.urgent, row.times > 1, waited)
