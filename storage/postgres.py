"""PostgreSQL's driver with an end to its patience, and a short way to it for the statements of every message.

psycopg itself waits for ever on a silent socket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Select
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.exc import DBAPIError

from storage.patience import seconds_left

DIALECT: Any = dialects.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class PostgresConnection(psycopg.Connection[Any]):
    """A connection whose every statement ends in time."""

    longest = 3.5
    """Seconds for one round trip: a little more than the server's own statement_timeout."""

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, seconds_left(self.longest) if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                # the answer may still come, and must not be taken for that of a later statement
                self.close()
            raise

    def rollback(self) -> None:
        # SQLAlchemy asks for it after every statement, also where no transaction was opened
        if self.info.transaction_status != TransactionStatus.IDLE:
            super().rollback()


class Prepared:
    """A statement that is made into the server's words once, and whose parameters and rows are the driver's.

    The way through SQLAlchemy's execution, its types and results, and the driver's search for parameters
    costs as much as a short statement does. Numbers and strings need none of it.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement

    @cached_property
    def _made(self) -> tuple[str, Sequence[str], Mapping[str, Any]]:
        """The text, the names of its parameters in their order, and the values of those that are constant."""
        made = self.statement.compile(dialect=DIALECT)
        return str(made), made.positiontup or (), made.params

    @property
    def text(self) -> str:
        return self._made[0]

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order in which the text counts them."""
        _, names, constants = self._made
        return [values[each] if each in values else constants[each] for each in names]

    def on(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """The statement's rows, whose columns have their names. Raises as SQLAlchemy does."""
        driver: Any = connection.connection.driver_connection
        try:
            with psycopg.RawCursor(driver, row_factory=namedtuple_row) as cursor:
                cursor.execute(self.text, self.parameters(values))
                return cursor.fetchall()
        except psycopg.Error as problem:
            lost = driver.closed or driver.broken
            if lost:
                connection.invalidate(problem)
            # the parameters are people's words, and stay out of it
            raise DBAPIError.instance(
                self.text, None, problem, psycopg.Error, hide_parameters=True, connection_invalidated=lost
            ) from problem
