"""A fresh, empty database for one test, on every engine that can be reached.

SQLite always takes part. A server takes part when its variable holds a SQLAlchemy URL of a user who may
create databases.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, NullPool, create_engine, make_url

from storage import schema

SERVERS = {"postgresql": "YINGDA_TEST_POSTGRES_URL", "mariadb": "YINGDA_TEST_MARIADB_URL"}
ENGINES = ["sqlite", *(name for name, variable in SERVERS.items() if os.environ.get(variable))]

on_every_engine = [pytest.param(name, marks=pytest.mark.engines, id=name) for name in ENGINES]
"""Parameters for a fixture that calls `empty_database`."""
on_servers = [each for each in on_every_engine if each.id != "sqlite"]
on_postgresql = [each for each in on_every_engine if each.id == "postgresql"]


@contextmanager
def empty_database(engine: str, folder: Path) -> Iterator[str]:
    """The URL of a database that nobody else uses and that is gone afterwards."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
        return
    server = make_url(os.environ[SERVERS[engine]])
    name = f"yingda_{uuid.uuid4().hex}"
    drop = f"DROP DATABASE {name}" + (" WITH (FORCE)" if engine == "postgresql" else "")
    with _admin(engine) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.exec_driver_sql(drop)


def _admin(engine: str) -> AbstractContextManager[Connection]:
    return _connected(make_url(os.environ[SERVERS[engine]]))


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def migrate(url: str) -> None:
    """Brings the empty database to the current schema: a copy of one that was migrated before."""
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            shutil.copyfile(_migrated_sqlite(), url.removeprefix("sqlite:///"))
        case "postgresql":
            template = _migrated("postgresql").database
            with _admin("postgresql") as connection:
                connection.exec_driver_sql(f"DROP DATABASE {parsed.database}")
                connection.exec_driver_sql(f"CREATE DATABASE {parsed.database} TEMPLATE {template}")
        case _:
            with _connected(parsed) as connection:
                connection.exec_driver_sql("SET foreign_key_checks = 0")
                for statement in _definitions():
                    connection.exec_driver_sql(statement)


@cache
def _migrated(engine: str) -> URL:
    """A database of this server at the current schema, kept to the end of the process."""
    kept = ExitStack()
    url = kept.enter_context(empty_database(engine, Path()))
    atexit.register(kept.close)
    schema.upgrade(url)
    return make_url(url)


@cache
def _definitions() -> list[str]:
    """The statements that make MariaDB's tables, which has no databases made from a template."""
    template = _migrated("mariadb")
    with _connected(template) as connection:
        tables = connection.exec_driver_sql("SHOW TABLES").scalars().all()
        made = [connection.exec_driver_sql(f"SHOW CREATE TABLE {each}").one()[1] for each in tables]
    return [*made, f"INSERT INTO alembic_version SELECT * FROM {template.database}.alembic_version"]


@cache
def _migrated_sqlite() -> Path:
    # once for each process of the test run: hundreds of tests start from it
    path = Path(tempfile.mkdtemp(prefix="yingda-tests-")) / "migrated.db"
    schema.upgrade(f"sqlite:///{path}")
    return path
