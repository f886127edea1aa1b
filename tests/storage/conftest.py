from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.db import Database
from tests.engines import empty_database, migrate, on_every_engine


@pytest.fixture(params=on_every_engine)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database on each engine in turn."""
    with empty_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """A database with the current schema."""
    migrate(database_url)
    opened = Database(database_url)
    yield opened
    opened.close()
