"""The audit: who did what, on whom, when, by which request and from where. It is only ever added to.

Whoever changes something records it in the same transaction, so that neither is there without the other. No
statement of this program can change an entry, and only `purge` can delete one, for its age: compiling any
other raises, on every database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Delete, Select, Table, Update, and_, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

from storage.agents_tables import AuditEntry
from storage.db import Database, changed, now_ms
from storage.handoff_tables import HandoffStep
from storage.statements import table

SESSIONS_TRAIL = "handoff_steps"
"""What was done to customers' sessions is kept with the sessions, in their audit trail, by the same rule."""
PURGED_AT_ONCE = 500
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class By:
    """Who acts: a user name (`-`: nobody known, `cli`: the command line), the request and its address."""

    username: str
    request_id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit. `at_ms` is unix milliseconds."""

    id: int
    at_ms: int
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any]
    request_id: str
    address: str


def record(
    session: Session, by: By, action: str, target: str = "", detail: Mapping[str, object] | None = None
) -> None:
    """Adds an entry in the caller's transaction. `detail` never holds a secret, nor a customer's words."""
    session.add(
        AuditEntry(
            at_ms=now_ms(),
            actor=by.username,
            action=action,
            target=target,
            detail=dict(detail or {}),
            request_id=by.request_id,
            address=by.address,
        )
    )


class Audit:
    """The reading side."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def before(
        self,
        place: int | None,
        limit: int,
        *,
        actor: str = "",
        action: str = "",
        target: str = "",
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[Entry]:
        """Entries older than `place` (None: from the newest on) that fit every given filter, newest first."""
        query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
        if place is not None:
            query = query.where(AuditEntry.id < place)
        return self._found(query, actor, action, target, start_ms, end_ms)

    def older(
        self,
        than: tuple[int, int],
        limit: int,
        *,
        actor: str = "",
        action: str = "",
        target: str = "",
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[Entry]:
        """As `before`, by the clock: entries of an earlier moment than the first of `than`, or of that moment
        and a smaller number than the second."""
        at_ms, number = than
        query = (
            select(AuditEntry)
            .where(
                or_(AuditEntry.at_ms < at_ms, and_(AuditEntry.at_ms == at_ms, AuditEntry.id < number)),
            )
            .order_by(AuditEntry.at_ms.desc(), AuditEntry.id.desc())
            .limit(limit)
        )
        return self._found(query, actor, action, target, start_ms, end_ms)

    def purge(self, days: int, now: int | None = None) -> int:
        """Deletes what is older than `days`, of sessions' trails too; 0 keeps everything. Returns how many.

        That it was done is an entry itself.
        """
        if not days:
            return 0
        before = (now_ms() if now is None else now) - days * DAY_MS
        return sum(self._expire(table(kind), column, before) for kind, column in AGES)

    def _expire(self, kept: Table, column: str, before: int) -> int:
        old = select(kept.c.id).where(kept.c[column] < before).limit(PURGED_AT_ONCE)

        def step(session: Session) -> int:
            numbers = session.scalars(old).all()
            if not numbers:
                return 0
            gone = changed(session.execute(Expiry(kept).where(kept.c.id.in_(numbers))))
            if gone:  # none when another process was quicker
                detail = {"of": kept.name, "entries": gone, "before": before / 1000}
                record(session, By("system"), "audit.purged", "", detail)
            return gone

        found = gone = self.db.transact(step)
        # a few at a time: no other writer waits long
        while gone == PURGED_AT_ONCE:
            found += (gone := self.db.transact(step))
        return found

    def _found(
        self,
        query: Select[Any],
        actor: str,
        action: str,
        target: str,
        start_ms: int | None,
        end_ms: int | None,
    ) -> list[Entry]:
        for column, value in (
            (AuditEntry.actor, actor),
            (AuditEntry.action, action),
            (AuditEntry.target, target),
        ):
            if value:
                query = query.where(column == value)
        if start_ms is not None:
            query = query.where(AuditEntry.at_ms >= start_ms)
        if end_ms is not None:
            query = query.where(AuditEntry.at_ms < end_ms)
        with self.db.read() as session:
            return [
                Entry(
                    row.id,
                    row.at_ms,
                    row.actor,
                    row.action,
                    row.target,
                    row.detail,
                    row.request_id,
                    row.address,
                )
                for row in session.scalars(query)
            ]


AGES = ((AuditEntry, "at_ms"), (HandoffStep, "created_ms"))
"""The tables of the audit, and the column that says how old a row is."""


class Expiry(Delete):
    """The one statement that may delete from the audit: see `Audit.purge`."""

    inherit_cache = True


# statements are compiled once and cached: the check costs nothing where it matters
@compiles(Update)
def _update(statement: Update, compiler: Any, **options: Any) -> str:
    _refuse(statement)
    return str(compiler.visit_update(statement, **options))


@compiles(Delete)
def _delete(statement: Delete, compiler: Any, **options: Any) -> str:
    _refuse(statement)
    return str(compiler.visit_delete(statement, **options))


def _refuse(statement: Update | Delete) -> None:
    if isinstance(statement, Expiry):
        return
    name = getattr(statement.table, "name", "")
    if name == AuditEntry.__tablename__ or (name == SESSIONS_TRAIL and not _erases_words(statement)):
        raise TypeError("the audit is only ever added to")


def _erases_words(statement: Update | Delete) -> bool:
    # a customer who leaves takes their words along; who did what to the session stays
    values = getattr(statement, "_values", None) or {}
    return isinstance(statement, Update) and [column.key for column in values] == ["details"]
