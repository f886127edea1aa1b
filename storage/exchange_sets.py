"""The steps of many exchanges as one statement each: what PostgreSQL makes possible.

The rows come as one JSON parameter, so that a statement's text is the same for one exchange and for fifty.
All that belongs together is in it: it needs no transaction around it and costs one round trip. What it leaves
out (a message that came before, a dialogue that two begin at once) is for the steps in exchanges.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Integer,
    Row,
    Select,
    String,
    TableValuedAlias,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import TypeDecorator

from handler.handoff import OWNED
from storage.db import Database, now_ms
from storage.exchange_rows import UNFINISHED, Claim, Given, Note, Outcome, Wanted, answered, claimed, is_said
from storage.handoff_tables import Handoff
from storage.jobs import AT_ONCE, late_key
from storage.library_tables import LibraryUse
from storage.models import DialogueSession, Exchange, Job, Message
from storage.statements import Prepared, is_one_of, looked_up, table, unattended, unindexed

EXCHANGES, MESSAGES, SESSIONS, JOBS, USES, HANDOFFS = (
    table(each) for each in (Exchange, Message, DialogueSession, Job, LibraryUse, Handoff)
)
NAMES = ("platform", "account", "user_id", "session_key")
"""What a dialogue is known by."""
IDS = ("conversation_id", "chat_id", "logid")
"""Coze's names for what it does."""
NUMBER = Column("number", Integer)
"""A row's place in the set."""
NEWEST = Column("newest", Boolean)
"""Whether a message belongs to its user's newest dialogue."""


Columns = Sequence[Column[Any]]


class ExchangeSets:
    """Claims, notes and answers of many exchanges; each method is one committed statement."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def claim(self, wanted: Sequence[Wanted]) -> list[Claim | None]:
        """The claims that are won; None for a message that must be looked at by itself."""
        now = now_ms()
        values = [claimed(each, now) for each in wanted]
        rows = [
            {"number": at, "newest": each.message.newest, **columns}
            for at, (each, columns) in enumerate(zip(wanted, values, strict=True))
        ]
        won: list[Claim | None] = [None] * len(wanted)
        for row in self.db.tell(_claim, {"rows": _json(_CLAIMED, rows), "now": now}):
            found = {"id": row.id, "session_id": row.session_id, "session_key": row.session_key}
            exchange = unattended(Exchange, values[row.number] | found)
            won[row.number] = Claim(exchange, won=True, attempt=1)
        return won

    def note(self, notes: Sequence[Note]) -> list[bool | None]:
        """Whether each was written; False for an exchange that its owner has lost."""
        numbers = [note.exchange_id for note in notes]
        found = self._each(_note, _NOTED, [note._asdict() for note in notes], {})
        return [None] * len(notes) if found is None else [each in found for each in numbers]

    def answer(self, given: Sequence[Given]) -> list[Outcome | None]:
        """What became of each reply, as `Exchanges.answer`; None for one that was not written."""
        now = now_ms()
        rows = [
            {
                **answered(each.reply, each.timing, now),
                "exchange_id": each.exchange_id,
                "owner": each.owner,
                "said": is_said(each.reply),
                "job": late_key(each.exchange_id),
                "via": each.via,
                "unless_owned": each.unless_owned,
            }
            for each in given
        ]
        found = self._each(_answer, _ANSWERED, rows, {"now": now}) or {}
        return [found[each.exchange_id].status if each.exchange_id in found else None for each in given]

    def _each(
        self,
        statement: Prepared,
        columns: Columns,
        rows: Sequence[dict[str, Any]],
        more: Mapping[str, int],
    ) -> dict[int, Row[Any]] | None:
        """What the statement tells of the exchanges that it changed, by number; None if it cannot be used."""
        if len({row["exchange_id"] for row in rows}) < len(rows):
            # joined with two rows, a row is changed by one of them
            return None
        numbered = [{**row, "number": at} for at, row in enumerate(rows)]
        return {row.id: row for row in self.db.tell(statement, {"rows": _json(columns, numbered), **more})}


def _json(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as JSON, each value as its column would store it."""
    cleaning = [(each.name, _cleaner(each)) for each in columns]
    return json.dumps(
        [
            {name: row.get(name) if clean is None else clean(row.get(name)) for name, clean in cleaning}
            for row in rows
        ],
        ensure_ascii=False,
    )


@cache
def _cleaner(column: Column[Any]) -> Callable[[Any], Any] | None:
    """What a value goes through before it is stored; None where nothing can be wrong with it."""
    kind = column.type
    # no dialect is needed: our types clean what comes from outside, whatever the database
    return partial(kind.process_bind_param, dialect=None) if isinstance(kind, TypeDecorator) else None  # type: ignore[arg-type]


def _sent(columns: Columns) -> TableValuedAlias:
    """The parameter `rows` as a table."""
    sent = func.json_to_recordset(cast(bindparam("rows", type_=Text()), JSON))
    typed = sent.table_valued(*(column(each.name, each.type) for each in columns))
    return typed.render_derived("sent", with_types=True)


def _rows(columns: Columns) -> CTE:
    return select(_sent(columns)).cte("given")


def _line(role: str, text: Any, of: CTE, given: CTE, where: Any) -> CTE:
    """Adds each exchange's text to its dialogue's transcript."""
    said = (
        select(of.c.session_id, of.c.id, literal(role, String), text, _now)
        .join_from(of, given, of.c.number == given.c.number)
        .where(where)
        .order_by(of.c.id)
    )
    columns = ["session_id", "exchange_id", "role", "text", "created_ms"]
    return insert(MESSAGES).from_select(columns, said).returning(MESSAGES.c.id).cte("lines")


def _named() -> CTE:
    """The messages, each with the name of its dialogue."""
    sent = _sent(_CLAIMED)
    newest = (
        select(SESSIONS.c.session_key)
        .where(*(SESSIONS.c[each] == sent.c[each] for each in NAMES if each != "session_key"))
        .order_by(SESSIONS.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    name = func.coalesce(case((sent.c.newest, newest)), sent.c.session_key).label("session_key")
    return select(name, *(each for each in sent.c if each.name not in ("session_key", "newest"))).cte("given")


def _claiming() -> Select[Any]:
    given = _named()
    theirs = [SESSIONS.c[each] == given.c[each] for each in NAMES]
    known = select(given.c.number, SESSIONS.c.id).join_from(given, SESSIONS, and_(*theirs)).cte("known")
    strangers = select(*(given.c[each] for each in NAMES), _now, _now).distinct()
    begun = (
        insert(SESSIONS)
        .from_select(
            [*NAMES, "created_ms", "updated_ms"],
            strangers.where(given.c.number.not_in(select(known.c.number))),
        )
        .on_conflict_do_nothing()
        .returning(SESSIONS.c.id, *(SESSIONS.c[each] for each in NAMES))
        .cte("begun")
    )
    new = and_(*(begun.c[each] == given.c[each] for each in NAMES))
    dialogues = union_all(
        select(known.c.number, known.c.id), select(given.c.number, begun.c.id).join_from(given, begun, new)
    ).cte("dialogues")
    columns = [each.name for each in given.c if each.name != "number"]
    found = (
        select(dialogues.c.id, *(given.c[each] for each in columns))
        .join_from(given, dialogues, given.c.number == dialogues.c.number)
        # a dialogue's exchanges are numbered in the order they came
        .order_by(given.c.number)
    )
    key = ("platform", "account", "dedupe_key")
    added = (
        insert(EXCHANGES)
        .from_select(["session_id", *columns], found)
        .on_conflict_do_nothing()
        .returning(*(EXCHANGES.c[each] for each in ("id", "session_id", "session_key", *key)))
        .cte("added")
    )
    won = (
        # of equal messages in one set the first has won
        select(func.min(given.c.number).label("number"), added.c.id, added.c.session_id, added.c.session_key)
        .join_from(added, given, and_(*(added.c[each] == given.c[each] for each in key)))
        .group_by(added.c.id, added.c.session_id, added.c.session_key)
        .cte("won")
    )
    lines = _line("user", given.c.question, won, given, given.c.kind != "leave")
    return select(won.c.number, won.c.id, won.c.session_id, won.c.session_key).add_cte(lines)


def _noting() -> Select[Any]:
    given = _rows(_NOTED)
    ids = {each: func.coalesce(given.c[each], EXCHANGES.c[each]) for each in IDS}
    noted = (
        _held(given)
        .values(
            status=case((given.c.calls > 0, "running"), else_=EXCHANGES.c.status),
            coze_calls=EXCHANGES.c.coze_calls + given.c.calls,
            **ids,
        )
        .returning(EXCHANGES.c.id)
        .cte("noted")
    )
    return select(noted.c.id)


def _answering() -> Select[Any]:
    given = _rows(_ANSWERED)
    columns = {each.name: given.c[each.name] for each in _ANSWERED if each.name in _ANSWER}
    owned = select(HANDOFFS.c.id).where(
        HANDOFFS.c.session_id == EXCHANGES.c.session_id, is_one_of(HANDOFFS.c.status, OWNED)
    )
    at_once = and_(given.c.via.is_not(None), EXCHANGES.c.later.is_(None))
    final = (
        _held(given)
        .where(or_(not_(given.c.unless_owned), not_(owned.exists())))
        .values(
            owner=None,
            **columns,
            status=case((at_once, "delivered"), else_="answered"),
            delivery=case((at_once, given.c.via), else_=EXCHANGES.c.delivery),
            delivered_ms=case((at_once, _now), else_=EXCHANGES.c.delivered_ms),
        )
        .returning(
            EXCHANGES.c.id, EXCHANGES.c.session_id, EXCHANGES.c.later, EXCHANGES.c.status, given.c.number
        )
        .cte("final")
    )
    lines = _line("assistant", given.c.answer, final, given, given.c.said)
    work = select(
        final.c.later,
        given.c.job,
        final.c.id,
        cast("{}", JSON),
        literal("waiting", String),
        *(literal(each, BigInteger) for each in (0, AT_ONCE, 0)),
        _now,
    ).join_from(final, given, final.c.number == given.c.number)
    of_job = [
        "kind",
        "key",
        "exchange_id",
        "payload",
        "status",
        "lease_ms",
        "due_ms",
        "tries",
        "created_ms",
    ]
    jobs = (
        insert(JOBS)
        .from_select(of_job, work.where(final.c.later.is_not(None)))
        .on_conflict_do_nothing()
        .returning(JOBS.c.id)
        .cte("work")
    )
    hits = (
        select(given.c.library_id, func.count().label("times"))
        .join_from(final, given, final.c.number == given.c.number)
        .where(given.c.library_id.is_not(None))
        .group_by(given.c.library_id)
        .cte("hits")
    )
    # in order, so that two processes that count hits of the same entries never wait in a ring
    used = (
        select(USES.c.entry_id, hits.c.times)
        .join_from(USES, hits, USES.c.entry_id == hits.c.library_id)
        .order_by(USES.c.entry_id)
        .with_for_update(of=USES)
        .cte("used")
    )
    counted = (
        update(USES)
        .where(USES.c.entry_id == used.c.entry_id)
        .values(hits=USES.c.hits + used.c.times, last_hit_ms=_now)
        .returning(USES.c.entry_id)
        .cte("counted")
    )
    return select(final.c.id, final.c.status).add_cte(lines, jobs, counted)


def _held(given: CTE) -> Update:
    """An update of the exchanges that their owners still have."""
    return update(EXCHANGES).where(
        EXCHANGES.c.id == given.c.exchange_id,
        EXCHANGES.c.owner == given.c.owner,
        looked_up(EXCHANGES.c.id, select(given.c.exchange_id)),
        is_one_of(unindexed(EXCHANGES.c.status), UNFINISHED),
    )


_now = bindparam("now", type_=BigInteger)
_CLAIMED: Columns = [
    NUMBER,
    NEWEST,
    *(EXCHANGES.c[each] for each in ("trace_id", *NAMES, "dedupe_key", "kind", "question", "raw", "media")),
    *(EXCHANGES.c[each] for each in ("status", "owner", "lease_ms", "attempts", "coze_calls", "truncated")),
    *(EXCHANGES.c[each] for each in ("docs", "suggestions", "created_ms")),
]
_HELD = [NUMBER, Column("exchange_id", BigInteger), EXCHANGES.c.owner]
_NOTED = [
    *_HELD,
    Column("calls", Integer),
    *(EXCHANGES.c[each] for each in IDS),
]
_ANSWER = (
    *("answer", "source", "library_id", "error_code", "truncated", "docs", "suggestions"),
    *("input_tokens", "output_tokens", "first_delta_ms", "total_ms", "answered_ms"),
)
_ANSWERED = [
    *_HELD,
    *(EXCHANGES.c[each] for each in _ANSWER),
    Column("said", Boolean),
    Column("via", String),
    Column("unless_owned", Boolean),
    Column("job", JOBS.c.key.type),
]
_claim, _note, _answer = (Prepared(each) for each in (_claiming(), _noting(), _answering()))
