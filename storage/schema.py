"""The schema's version: bring a database to it, ask for it, compare the tables with it.

The steps themselves are in storage/migrations/versions/. Nothing else in the project makes a table. Alembic
is loaded by those who change a schema: a worker only compares two numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text

from storage.db import Database
from storage.engine import make_engine, open_transaction
from storage.tables import Base

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 7_412_091_335
"""Number of the lock that lets one process at a time change the schema; any number nobody else uses."""
LOCK_SECONDS = 600


def upgrade(url: str, revision: str = "head") -> None:
    """Brings the database to `revision`; of several processes at once, one does it and the others wait."""
    from alembic import command

    with _alone(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Takes steps back to `revision`; `base` removes every table and what is in it."""
    from alembic import command

    with _alone(url) as connection:
        command.downgrade(_config(connection), revision)


@cache
def head() -> str:
    """The version this code needs."""
    # a step's file begins with its number, and the last one is the head
    return max(each.name.partition("_")[0] for each in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def current(db: Database) -> str | None:
    """The version the database is at; None before its first upgrade."""
    with db.read() as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return None
        version: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
        return version


def is_current(db: Database) -> bool:
    """Whether the database is at the version this code needs."""
    return current(db) == head()


def differences(db: Database) -> list[str]:
    """What the tables lack or have too much compared with storage/tables.py; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with db.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        return [str(each) for each in compare_metadata(context, Base.metadata)]


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _alone(url: str) -> Iterator[Connection]:
    """One connection in a transaction, while no other process is in here for the same database."""
    engine = make_engine(url, patient=True)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # takes effect outside a transaction only; a table that is rebuilt must not drop its children
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
                connection.rollback()
            with connection.begin():
                open_transaction(connection)
                with _locked(connection):
                    yield connection
    finally:
        engine.dispose()


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    if dialect not in {"mysql", "mariadb"}:
        yield  # SQLite's transaction is a lock on the whole file already
        return
    # named locks belong to the server, not to one of its databases
    name: dict[str, Any] = {"name": f"{LOCK}:{connection.engine.url.database}"[:64], "wait": LOCK_SECONDS}
    if connection.scalar(text("SELECT GET_LOCK(:name, :wait)"), name) != 1:
        raise TimeoutError("another process has been changing the schema for too long")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
