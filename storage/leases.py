"""Leases: which process works on which exchange, and who may take over when it is gone.

A live process renews the lease of everything it works on. Whoever finds one that is dead (see watch.py) may
take it over with one conditional update; the loser of that race, and the former owner should it still live,
can no longer change the exchange.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Self

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from storage.db import Database, changed, now_ms
from storage.exchange_rows import BY_STATUS, UNFINISHED
from storage.models import Exchange
from storage.watch import Watch, looks_alive

LEASE_MS = 3_000
"""Milliseconds a silent process is believed alive: three renewals, so that a slow commit costs nothing."""
AT_ONCE = 1_000
"""Exchanges renewed by one statement; SQLite takes some thirty thousand parameters."""


class Lease(NamedTuple):
    """Who held an exchange until when, as it was seen."""

    exchange_id: int
    owner: str | None
    lease_ms: int

    @classmethod
    def of(cls, exchange: Exchange) -> Self:
        return cls(exchange.id, exchange.owner, exchange.lease_ms)


class Leases:
    """The exchange log's owner and lease columns. One per process: it remembers whom it suspects."""

    def __init__(self, db: Database, lease_ms: int = LEASE_MS) -> None:
        self.db = db
        self.lease_ms = lease_ms
        self.renew_seconds = lease_ms / 3_000
        # a renewal and a slow commit fit in
        self._watch = Watch(2 * self.renew_seconds)

    def renew(self, owner: str, exchange_ids: Collection[int]) -> int:
        """Renews what `owner` works on; returns how many of them are still its own."""
        ids = sorted(exchange_ids)
        until = now_ms() + self.lease_ms
        return sum(
            self._set(owner, ids[start : start + AT_ONCE], until) for start in range(0, len(ids), AT_ONCE)
        )

    def hand_over(self, owner: str) -> int:
        """Ends the leases of a process that is about to leave, so that the others need not wait."""
        with self.db.read() as session:
            mine = select(Exchange.id).where(Exchange.status.in_(UNFINISHED), Exchange.owner == owner)
            ids = session.scalars(mine.with_hint(Exchange, *BY_STATUS)).all()
        return sum(self._set(owner, ids[start : start + AT_ONCE], 0) for start in range(0, len(ids), AT_ONCE))

    def suspects(self, limit: int = 1_000) -> list[Lease]:
        """Leases that do not look alive, of the oldest exchanges first; for `take_over` to judge."""
        now = now_ms()
        with self.db.read() as session:
            found = session.execute(
                select(Exchange.id, Exchange.owner, Exchange.lease_ms)
                .with_hint(Exchange, *BY_STATUS)
                .where(
                    Exchange.status.in_(UNFINISHED),
                    or_(Exchange.lease_ms < now, Exchange.lease_ms > now + self.lease_ms),
                )
                .order_by(Exchange.id)
                .limit(limit)
            )
            return [Lease(*row) for row in found]

    def take_over(self, seen: Lease, owner: str) -> Exchange | None:
        """Makes an exchange ours whose holder is dead; None while it may live, or if somebody was faster."""
        if not self._is_dead(seen):
            return None

        def take(session: Session) -> Exchange | None:
            won = changed(
                session.execute(
                    update(Exchange)
                    .where(
                        Exchange.id == seen.exchange_id,
                        Exchange.status.in_(UNFINISHED),
                        # not "expired": the very lease that was watched
                        Exchange.owner == seen.owner,
                        Exchange.lease_ms == seen.lease_ms,
                    )
                    .values(owner=owner, lease_ms=now_ms() + self.lease_ms)
                )
            )
            return session.get(Exchange, seen.exchange_id) if won else None

        return self.db.transact(take)

    def _is_dead(self, seen: Lease) -> bool:
        if seen.lease_ms == 0:
            return True  # handed over
        if looks_alive(seen.lease_ms, self.lease_ms, now_ms()):
            return False
        return self._watch.is_still(seen.exchange_id, seen)

    def _set(self, owner: str, exchange_ids: Collection[int], lease_ms: int) -> int:
        statement = (
            update(Exchange)
            .where(Exchange.id.in_(exchange_ids), Exchange.owner == owner, Exchange.status.in_(UNFINISHED))
            .values(lease_ms=lease_ms)
        )
        with self.db.in_line():
            return self.db.once(statement)
