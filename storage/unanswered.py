"""Questions that nobody answered well, gathered for whoever keeps the Q&A library.

An exchange with an error code ended in an apology, in "no answer", or half way. Its questions are grouped by
what they come to when blanks, case and punctuation do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from handler.library import normalised
from storage.db import Database
from storage.models import Exchange

SCAN = 20_000
"""Failed exchanges that one request looks at, the newest first."""
OWN = ("text", "voice")
"""Kinds of messages whose question is in the customer's words."""


@dataclass(slots=True)
class Group:
    """One question, however often and in whatever punctuation it was put."""

    key: str
    question: str
    """As it was put last."""
    exchange_id: int
    """The newest exchange."""
    last_ms: int
    first_ms: int
    count: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def place(self) -> tuple[int, int, int]:
        """Its place in the order: the most frequent first, then the newest."""
        return -self.count, -self.last_ms, -self.exchange_id


@dataclass(frozen=True, slots=True)
class Gathered:
    """Groups in order. `searched_until` is set when older failures were not looked at: unix milliseconds."""

    groups: Sequence[Group]
    searched_until: int | None


class Unanswered:
    """Reads failed exchanges; writes nothing."""

    def __init__(self, db: Database, scan: int = SCAN) -> None:
        self.db = db
        self.scan = scan

    def groups(self, start_ms: int, end_ms: int, error: str = "", platform: str = "") -> Gathered:
        """Questions of the period `start_ms` (included) to `end_ms` (not included)."""
        failed = Exchange.error_code == error if error else Exchange.error_code.is_not(None)
        query = (
            select(Exchange.id, Exchange.question, Exchange.error_code, Exchange.created_ms)
            .where(failed, Exchange.created_ms >= start_ms, Exchange.created_ms < end_ms)
            .where(Exchange.kind.in_(OWN))
            .order_by(Exchange.created_ms.desc(), Exchange.id.desc())
            .limit(self.scan)
            # failures are few: their index finds them, where the order of time would read every exchange
            .with_hint(Exchange, "INDEXED BY ix_exchanges_error_time", "sqlite")
        )
        for dialect in ("mysql", "mariadb"):
            query = query.with_hint(Exchange, "FORCE INDEX (ix_exchanges_error_time)", dialect)
        if platform:
            query = query.where(Exchange.platform == platform)
        found: dict[str, Group] = {}
        with self.db.read() as session:
            rows = session.execute(query).all()
        for number, question, code, created in rows:
            if not (key := normalised(question)):
                continue
            group = found.setdefault(key, Group(key, question, number, created, created))
            group.count += 1
            group.first_ms = min(group.first_ms, created)
            group.errors[code or ""] += 1
        until = rows[-1].created_ms if len(rows) == self.scan else None
        return Gathered(sorted(found.values(), key=lambda group: group.place), until)

    def question(self, exchange_id: int) -> str | None:
        """What the customer asked in this exchange; None when there is no such exchange."""
        with self.db.read() as session:
            return session.scalar(select(Exchange.question).where(Exchange.id == exchange_id))
