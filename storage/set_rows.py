"""How the rows of a set reach PostgreSQL: as one JSON parameter, each value as its column would store it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import orjson
from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    Column,
    Integer,
    String,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import TypeDecorator

from storage.customers import Customer
from storage.handoff_tables import Handoff
from storage.library_tables import LibraryUse
from storage.models import DialogueSession, Exchange, Job, Message
from storage.statements import table

EXCHANGES, MESSAGES, SESSIONS, JOBS, USES, HANDOFFS, CUSTOMERS = (
    table(each) for each in (Exchange, Message, DialogueSession, Job, LibraryUse, Handoff, Customer)
)
NAMES = ("platform", "account", "user_id", "session_key")
"""What a dialogue is known by."""
MESSAGE = ("platform", "account", "dedupe_key")
"""What a message is known by."""
IDS = ("conversation_id", "chat_id", "logid")
"""Coze's names for what it does."""
NUMBER = Column("number", Integer)
"""A row's place in the set."""
NOW = bindparam("now", type_=BigInteger)
Columns = Sequence[Column[Any]]


def as_json(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as JSON, each value as its column would store it."""
    # plain words: SQLAlchemy's own kind of names, which know whether to be quoted, the fast writer refuses
    cleaning = [(str(each.name), _cleaner(each)) for each in columns]
    cleaned = [
        {name: row.get(name) if clean is None else clean(row.get(name)) for name, clean in cleaning}
        for row in rows
    ]
    try:
        return orjson.dumps(cleaned).decode()
    except TypeError:
        # a number that is longer than the fast writer takes
        return json.dumps(cleaned, ensure_ascii=False)


@cache
def _cleaner(column: Column[Any]) -> Callable[[Any], Any] | None:
    """What a value goes through before it is stored; None where nothing can be wrong with it."""
    kind = column.type
    # no dialect is needed: our types clean what comes from outside, whatever the database
    return partial(kind.process_bind_param, dialect=None) if isinstance(kind, TypeDecorator) else None  # type: ignore[arg-type]


def sent_as(columns: Columns) -> TableValuedAlias:
    """The parameter `rows` as a table."""
    sent = func.json_to_recordset(cast(bindparam("rows", type_=Text()), JSON))
    typed = sent.table_valued(*(column(each.name, each.type) for each in columns))
    return typed.render_derived("sent", with_types=True)


def rows_as(columns: Columns) -> CTE:
    return select(sent_as(columns)).cte("given")


def line_of(role: str, text: Any, of: CTE, given: CTE, where: Any) -> CTE:
    """Adds each exchange's text to its dialogue's transcript."""
    said = (
        select(of.c.session_id, of.c.id, literal(role, String), text, NOW)
        .join_from(of, given, of.c.number == given.c.number)
        .where(where)
        .order_by(of.c.id)
    )
    columns = ["session_id", "exchange_id", "role", "text", "created_ms"]
    return insert(MESSAGES).from_select(columns, said).returning(MESSAGES.c.id).cte("lines")
