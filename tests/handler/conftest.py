from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handler.handler import Handler
from handler.work import Responder
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchanges import Exchanges
from storage.leases import Leases
from tests.engines import empty_database, migrate, on_every_engine
from texts import Texts

LEASE_MS = 300
"""Short, so that a dead process is noticed soon."""


@pytest.fixture(params=on_every_engine)
def shared_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with the current schema, on each engine in turn."""
    with empty_database(request.param, tmp_path) as url:
        migrate(url)
        opened = Database(url)
        yield opened
        opened.close()


@pytest.fixture
def process(shared_db: Database) -> Iterator[Callable[..., Handler]]:
    """A handler as a process of its own would have it: nothing but the database is shared."""
    made: list[Handler] = []

    def make(*responders: Responder) -> Handler:
        handler = Handler(
            Exchanges(shared_db), Leases(shared_db, LEASE_MS), Deliveries(shared_db), responders, Texts()
        )
        made.append(handler)
        return handler

    yield make
    for handler in made:
        for responder in handler.responders:
            getattr(responder, "go", threading.Event()).set()
        handler.close(patience=5)
        deadline = time.monotonic() + 5
        while handler._crew.busy and time.monotonic() < deadline:
            # a thread that still looks for its exchange must not find a database that is being dropped
            time.sleep(0.02)
