"""Statements that are built once and executed for every message: building costs more than executing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Row,
    Select,
    Table,
    Update,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from storage.columns import Base

Mapped = TypeVar("Mapped", bound=Base)


def table(kind: type[Base]) -> Table:
    """The table of a mapped class."""
    return cast("Table", kind.__table__)


def unattended(kind: type[Mapped], columns: Mapping[Any, Any]) -> Mapped:
    """An object with these columns that no session looks after.

    They are put where SQLAlchemy keeps them, without its record of changes, for which nobody will ask.
    """
    found = kind()
    vars(found).update(columns)
    return found


def is_one_of(column: ColumnElement[str], words: Iterable[str]) -> ColumnElement[bool]:
    """`column IN (…)` for words of ours, written out: SQLAlchemy renders a bound list each time anew."""
    return column.in_([literal_column(f"'{word}'") for word in words])


def is_open(exchanges: FromClause) -> ColumnElement[bool]:
    """Whether an exchange is not over: in the words of the index that holds only those."""
    return exchanges.c.status != literal_column("'delivered'")


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """The column as a condition that no index answers, beside one that finds the row.

    Few exchanges are unfinished, so PostgreSQL would look for them by their status; but that index still
    holds all that were unfinished since the last vacuum.
    """
    return column.concat("")


def looked_up(column: ColumnElement[Any], values: Select[Any]) -> ColumnElement[bool]:
    """Whether the column has one of the selected values, of which there are few: PostgreSQL looks for each by
    the column's index. Left to join them it would read the whole of a table that is not large, for it
    expects a hundred rows of JSON."""
    return column == any_(func.array(values.scalar_subquery(), type_=ARRAY(column.type)))


class among(FunctionElement[bool]):
    """`among(column, "names")`: whether the column has one of the values in the parameter `names`.

    PostgreSQL takes them as one array, and of unknown length: the statement's text and plan are the same for
    any number of them, and are made once. Elsewhere it is an `IN` of that many parameters.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], names: str) -> None:
        super().__init__(column, bindparam(names, expanding=True, type_=column.type))


@compiles(among)
def _as_list(element: Any, compiler: Any, **options: Any) -> str:
    column, values = element.clauses
    return str(compiler.process(column.in_(values), **options))


@compiles(among, "postgresql")
def _as_array(element: Any, compiler: Any, **options: Any) -> str:
    column, values = element.clauses
    array = bindparam(values.key, type_=ARRAY(column.type))
    return str(compiler.process(looked_up(column, select(func.unnest(array))), **options))


class Change:
    """An update of one row that tells about it afterwards.

    `found` are the conditions, with the update's own parameters, that find the row when it has been changed.
    """

    def __init__(self, statement: Update, found: Iterable[ColumnElement[bool]], *columns: Any) -> None:
        self._silent = statement
        self._telling = statement.returning(*columns)
        self._look = select(*columns).where(*found)

    def on(self, connection: Connection, values: Mapping[str, Any]) -> Row[Any] | None:
        """What the columns say now; None when no row was changed."""
        if tells(connection):
            return connection.execute(self._telling, values).one_or_none()
        # in a transaction: the row is locked, and what is read is what was written
        if not connection.execute(self._silent, values).rowcount:
            return None
        return connection.execute(self._look, values).one()


def tells(connection: Connection) -> bool:
    """Whether an UPDATE can return rows here; MariaDB's cannot."""
    return connection.dialect.update_returning


def added(connection: Connection, statement: Insert, values: Mapping[str, Any]) -> int:
    """Inserts a row; returns its number."""
    key = connection.execute(statement, values).inserted_primary_key
    return int(key[0]) if key else 0
