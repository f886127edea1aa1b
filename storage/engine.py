"""Engines: how each database is connected to, and the limits it needs.

Every connection is in autocommit: a statement alone is a transaction of its own and costs one round trip.
Where several belong together, `open_transaction` opens it. Only the pool's events are listened to: with one
listener to an engine's or a dialect's own, SQLAlchemy announces each statement seven times, at a fifth of
its cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import InvalidatePoolError

from storage.patience import seconds_left

BUSY_SECONDS = 0.5
"""How long SQLite waits for a lock. It holds up every greenlet of the worker meanwhile; for our own
processes a writer has waited before, in the turnstile."""
IDLE_SECONDS = 0.5
"""A connection that was used more recently is not asked whether it is still there."""
CONNECTIONS = 10
"""Of each process to a server. More at once would only get into each other's way, there and here."""


def make_engine(url: str, patient: bool = False) -> Engine:
    """An engine with the limits each database needs; makes SQLite's folder if it is missing.

    `patient` is for schema changes and other work of minutes: no statement is cut short.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, patient)
    arguments: dict[str, Any] = {"connect_timeout": 2}
    if parsed.get_backend_name() == "postgresql":
        # two transactions that wait for each other are parted long before the server would notice
        limits = "" if patient else " -c statement_timeout=3000 -c lock_timeout=500"
        # what messages ask for is in memory: an index is worth its way even into a table that is not large
        arguments["options"] = f"-c timezone=UTC -c random_page_cost=1.1{limits}"
    else:
        seconds = 3600 if patient else 10
        arguments |= {"read_timeout": seconds, "write_timeout": seconds, "charset": "utf8mb4"}
        if not patient:
            # less than the socket's patience: else the lock outlives the client that waits for it
            arguments["init_command"] = "SET SESSION innodb_lock_wait_timeout = 3"
    engine = create_engine(
        parsed,
        isolation_level="AUTOCOMMIT",
        pool_size=CONNECTIONS,
        max_overflow=0,
        # the connections that were used last have their statements prepared and their caches warm
        pool_use_lifo=True,
        # a request that found no free connection for a second has no second one to give
        pool_timeout=1,
        pool_recycle=1800,
        # an error's text ends up in a log, and the parameters are people's words
        hide_parameters=True,
        connect_args=arguments,
    )
    if parsed.get_backend_name() != "postgresql":
        event.listen(engine, "connect", _read_committed)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _look_whether_alive(engine))
    if not patient:
        from storage.drivers import connector  # as above, the other way round

        engine.dialect.connect = connector(engine.dialect)  # type: ignore[method-assign]
    return engine


def _sqlite(url: URL, patient: bool) -> Engine:
    from storage.sqlite import HintingCompiler  # a dialect that a server's clients have no use for

    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_timeout=1,
        connect_args={"timeout": 60.0 if patient else BUSY_SECONDS, "check_same_thread": False},
    )
    engine.dialect.statement_compiler = HintingCompiler
    event.listen(engine, "connect", _set_up_sqlite)
    if not patient:
        event.listen(engine, "checkout", _limit_sqlite)
    return engine


def open_transaction(connection: Connection) -> None:
    """Ends the autocommit until the connection's next commit or rollback."""
    # on SQLite a deferred transaction that turns to writing may fail at once with "database is locked"
    immediate = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _limit_sqlite(connection: Any, _record: object, _fairy: object) -> None:
    milliseconds = round(seconds_left(BUSY_SECONDS) * 1000)
    connection.execute(f"PRAGMA busy_timeout={milliseconds}")


def _read_committed(connection: Any, _record: object) -> None:
    # REPEATABLE READ, their default, would hide another process's answer from a waiting reader
    connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _note_use(_connection: object, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _look_whether_alive(engine: Engine) -> Callable[[Any, Any, Any], None]:
    """A server may have gone and come back; asking before every use would double the round trips."""

    def look(connection: Any, record: Any, _fairy: object) -> None:
        if time.monotonic() - record.info.get("used", float("inf")) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as problem:
            raise InvalidatePoolError from problem

    return look
