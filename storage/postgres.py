"""PostgreSQL's driver with an end to its patience: psycopg itself waits for ever on a silent socket."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from storage.patience import seconds_left


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
