"""The message log as the escalation rules see it, for a dry run. Read in batches; nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import and_, or_, select

from storage.db import Database
from storage.handoff_tables import Handoff
from storage.models import DialogueSession, Exchange
from storage.session_names import name_of

BATCH = 1_000


class HandoffReplay:
    """Reads what the rules are tried on."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def since(self, moment: int) -> Iterator[Exchange]:
        """Messages since this unix millisecond that were answered, the oldest first."""
        place = (moment, 0)
        while True:
            after = or_(
                Exchange.created_ms > place[0], and_(Exchange.created_ms == place[0], Exchange.id > place[1])
            )
            page = (
                select(Exchange)
                .where(Exchange.created_ms >= moment, after, Exchange.source.is_not(None))
                .order_by(Exchange.created_ms, Exchange.id)
                .limit(BATCH)
            )
            with self.db.read() as session:
                found = session.scalars(page).all()
            if not found:
                return
            yield from found
            place = (found[-1].created_ms, found[-1].id)

    def marked(self) -> set[int]:
        """Sessions whose customers agents have marked as VIPs."""
        with self.db.read() as session:
            return set(session.scalars(select(Handoff.session_id).where(Handoff.vip)))

    def names(self, numbers: Collection[int]) -> dict[int, str]:
        """What clients call these sessions."""
        found: dict[int, str] = {}
        ordered = sorted(numbers)
        for start in range(0, len(ordered), BATCH):
            some = select(DialogueSession).where(DialogueSession.id.in_(ordered[start : start + BATCH]))
            with self.db.read() as session:
                found |= {each.id: name_of(each) for each in session.scalars(some)}
        return found
