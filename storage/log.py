"""The exchange log's reading side: pages, cursors, search and export.

One idea keeps every request fast however large the table is: a filter that an index answers together with
the order of time leads, and the rows it finds are candidates. When other filters remain, one request looks
at no more than `SCAN` candidates, the newest first, and says how far it came. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session, defer
from sqlalchemy.sql.functions import FunctionElement

from storage.columns import storable
from storage.db import Database, now_ms
from storage.models import Exchange
from storage.totals import Totals

S = TypeVar("S", bound="Select[*tuple[Any, ...]]")

SCAN = 20_000
"""Candidates one request examines at most; about 0.1 s of work."""
BATCH = 1_000
"""Rows an export holds in memory."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for. An empty string, None or False does not filter."""

    platform: str = ""
    account: str = ""
    user: str = ""
    session: str = ""
    """The platform's dialogue key, not the row number in `sessions`."""
    status: str = ""
    source: str = ""
    error: str = ""
    """An exact error code."""
    failed: bool | None = None
    """True: with any error code; False: without."""
    start_ms: int | None = None
    """First moment included, unix milliseconds."""
    end_ms: int | None = None
    """First moment not included any more."""
    text: str = ""
    """Part of the question or the answer; the case of letters does not matter."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the log's order, newest first; what comes after it is older."""

    created_ms: int
    id: int


@dataclass(frozen=True, slots=True)
class Page:
    """Numbered page: `total` counts every row that fits the filters."""

    total: int
    rows: Sequence[Exchange]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows after a position. `next` is where to go on, None at the end of the log."""

    rows: Sequence[Exchange]
    next: Position | None
    searched_until: int | None
    """Set when the scan ended before the slice was full: unix milliseconds of the oldest row examined."""


class MessageLog:
    """Reads exchanges, the newest first. The rows are detached, and `raw` is not loaded."""

    def __init__(self, db: Database, scan: int = SCAN, totals: Totals | None = None) -> None:
        self.db = db
        self.scan = scan
        self._totals = totals or Totals()

    def page(self, filters: Filters, page: int, limit: int) -> Page:
        """Page number `page` (from 1) of `limit` rows, with the exact total (see storage/totals.py).

        Filters by text are refused with `ValueError`: to count their rows is to read the whole table.
        """
        if filters.text:
            raise ValueError("text is searched with after()")
        plan = _Plan.of(filters)
        wanted = (*plan.lead, *plan.rest)
        offset = (page - 1) * limit
        with self.db.read() as session:
            total = self._total(session, filters)
            if offset >= total:
                return Page(total, [])
            size = min(limit, total - offset)
            # from whichever end is nearer: the way to a page is walked entry by entry in the index
            from_oldest = total - offset - size
            forward = offset <= from_oldest
            order = NEWEST_FIRST if forward else OLDEST_FIRST
            ids = session.scalars(
                plan.hint(select(Exchange.id).where(*wanted))
                .order_by(*order)
                .offset(offset if forward else from_oldest)
                .limit(size)
            ).all()
            rows = session.scalars(_rows().where(Exchange.id.in_(ids)).order_by(*NEWEST_FIRST)).all()
        return Page(total, rows)

    def after(self, filters: Filters, cursor: Position | None, limit: int) -> Slice:
        """The next `limit` rows older than `cursor`, or the newest ones without it."""
        plan = _Plan.of(filters)
        window = [*plan.lead, *([_older(cursor)] if cursor else [])]
        with self.db.read() as session:
            edge = self._edge(session, plan, window) if plan.rest else None
            if edge:
                window.append(_not_older(edge))
            found = session.scalars(
                plan.hint(_rows().where(*window, *plan.rest)).order_by(*NEWEST_FIRST).limit(limit + 1)
            ).all()
        if len(found) > limit:
            last = found[limit - 1]
            return Slice(found[:limit], Position(last.created_ms, last.id), None)
        return Slice(found, edge, edge.created_ms if edge else None)

    def export(self, filters: Filters, cursor: Position | None = None) -> Iterator[Exchange]:
        """Every row that fits, the newest first, in constant memory and without a long transaction.

        Rows that come in meanwhile are newer than the first one given, and so are not part of it.
        """
        while True:
            batch = self.after(filters, cursor, BATCH)
            yield from batch.rows
            if batch.next is None:
                return
            cursor = batch.next

    def _total(self, session: Session, filters: Filters) -> int:
        def count(start_ms: int | None, end_ms: int | None) -> int:
            plan = _Plan.of(replace(filters, start_ms=start_ms, end_ms=end_ms))
            rows = select(func.count()).select_from(Exchange).where(*plan.lead, *plan.rest)
            return session.scalar(plan.hint(rows)) or 0

        return self._totals.total(filters, filters.start_ms, filters.end_ms, now_ms(), count)

    def _edge(self, session: Session, plan: _Plan, window: Sequence[ColumnElement[bool]]) -> Position | None:
        """The last candidate this request may look at; None when there are fewer than `scan`."""
        found = session.execute(
            plan.hint(select(Exchange.created_ms, Exchange.id).where(*window))
            .order_by(*NEWEST_FIRST)
            .offset(self.scan - 1)
            .limit(1)
        ).first()
        return Position(found.created_ms, found.id) if found else None


NEWEST_FIRST = (Exchange.created_ms.desc(), Exchange.id.desc())
OLDEST_FIRST = (Exchange.created_ms, Exchange.id)
INDEXES: Sequence[tuple[str, InstrumentedAttribute[Any], str]] = (
    ("user", Exchange.user_id, "ix_exchanges_user_time"),
    ("session", Exchange.session_key, "ix_exchanges_key_time"),
    ("status", Exchange.status, "ix_exchanges_status_time"),
    ("source", Exchange.source, "ix_exchanges_source_time"),
    ("platform", Exchange.platform, "ix_exchanges_platform_time"),
)
"""Filters that may lead, the one that leaves fewest candidates first."""


class unindexed(FunctionElement[Any]):
    """The column, in words that keep SQLite from choosing its index: without statistics it guesses wrong."""

    inherit_cache = True

    def __init__(self, column: InstrumentedAttribute[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed)
def _as_it_is(element: unindexed, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(unindexed, "sqlite")
def _with_plus(element: unindexed, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """How filters are looked up: `index` gives the candidates of `lead` in order, `rest` picks among them."""

    index: str
    lead: Sequence[ColumnElement[bool]]
    rest: Sequence[ColumnElement[bool]]

    @classmethod
    def of(cls, filters: Filters) -> _Plan:
        given = [each for each in INDEXES if getattr(filters, each[0])]
        index = given[0][2] if given else "ix_exchanges_time"
        lead = [column == getattr(filters, name) for name, column, _ in given[:1]]
        if filters.start_ms is not None:
            lead.append(Exchange.created_ms >= filters.start_ms)
        if filters.end_ms is not None:
            lead.append(Exchange.created_ms < filters.end_ms)
        rest = [unindexed(column) == getattr(filters, name) for name, column, _ in given[1:]]
        if filters.account:
            rest.append(Exchange.account == filters.account)
        if filters.error:
            rest.append(Exchange.error_code == filters.error)
        if filters.failed is not None:
            rest.append(Exchange.error_code.is_not(None) if filters.failed else Exchange.error_code.is_(None))
        if filters.text:
            rest.append(
                or_(_contains(Exchange.question, filters.text), _contains(Exchange.answer, filters.text))
            )
        return cls(index, lead, rest)

    def hint(self, query: S) -> S:
        for dialect in ("mysql", "mariadb"):
            query = query.with_hint(Exchange, f"FORCE INDEX ({self.index})", dialect)
        return query


def _rows() -> Select[Exchange]:
    return select(Exchange).options(defer(Exchange.raw, raiseload=True))


def _contains(column: InstrumentedAttribute[Any], words: str) -> ColumnElement[bool]:
    return column.icontains(storable(words), autoescape=True)


# written out: MariaDB reads `(a, b) < (x, y)` as a condition on every row and not as a range of the index
def _older(than: Position) -> ColumnElement[bool]:
    return and_(
        Exchange.created_ms <= than.created_ms,
        or_(Exchange.created_ms < than.created_ms, Exchange.id < than.id),
    )


def _not_older(than: Position) -> ColumnElement[bool]:
    return and_(
        Exchange.created_ms >= than.created_ms,
        or_(Exchange.created_ms > than.created_ms, Exchange.id >= than.id),
    )
