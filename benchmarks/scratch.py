"""Scratch databases: made for one measurement, counted in afterwards, and removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from storage import schema

PEERS_TABLE = """
CREATE TABLE peer_exchanges (
    id BIGSERIAL PRIMARY KEY, message_id VARCHAR NOT NULL, user_id VARCHAR NOT NULL, question TEXT NOT NULL,
    answer TEXT NOT NULL, created_ms BIGINT NOT NULL, answered_ms BIGINT NOT NULL
)"""
COUNTS = {
    "gateway": "SELECT count(*) FROM exchanges WHERE answer IS NOT NULL AND error_code IS NULL",
    "peer": "SELECT count(*) FROM peer_exchanges",
}
SETTLED_SECONDS = 5.0


@contextmanager
def postgres(server: str, name: str) -> Iterator[str]:
    """A new database on that server; yields its SQLAlchemy URL."""
    database = f"yingda_bench_{name}_{os.getpid()}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {database}"))
            connection.execute(text(f"CREATE DATABASE {database}"))
        try:
            yield make_url(server).set(database=database).render_as_string(hide_password=False)
        finally:
            with admin.connect() as connection:
                connection.execute(text(f"DROP DATABASE {database} WITH (FORCE)"))
    finally:
        admin.dispose()


def sqlite(folder: Path) -> str:
    """The URL of a new file in the folder."""
    return f"sqlite:///{folder / 'bench.db'}"


def prepare(kind: str, url: str) -> None:
    """Makes the tables that a server of this kind expects."""
    if kind == "gateway":
        schema.upgrade(url)
        return
    execute(url, PEERS_TABLE)


def execute(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def settled(kind: str, url: str, expected: int) -> int:
    """Exchanges that are recorded with their answers; waits a moment for the last ones."""
    engine = create_engine(url)

    def count() -> int:
        with engine.connect() as connection:
            return int(connection.execute(text(COUNTS[kind])).scalar_one())

    try:
        return _until(count, expected)
    finally:
        engine.dispose()


def version(url: str) -> str:
    """The database's product and version, for the head of a report."""
    engine = create_engine(url)
    with engine.connect():
        number = ".".join(map(str, engine.dialect.server_version_info or ()))
    engine.dispose()
    return f"{engine.dialect.name} {number}"


def _until(count: Callable[[], int], expected: int) -> int:
    deadline = time.monotonic() + SETTLED_SECONDS
    while (found := count()) < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
