"""Whoever asks the database is answered or refused in time; nobody waits where others just did in vain."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from errors import Unavailable
from storage import schema
from storage.db import Database, patiently
from storage.patience import connected, seconds_left, within

SOON = 1.5
"""Seconds: less than a driver's own patience, more than a machine needs for a wait of 0.2 s."""
AT_ONCE = 15.0
"""Seconds for many calls of which each alone would wait for half a second or more."""
MANY = 100
TRIES = 5


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    began = time.monotonic()
    yield lambda: time.monotonic() - began


class Refused(threading.Thread):
    """Asks in a thread of its own, and expects to be refused."""

    def __init__(self, ask: Callable[[], None]) -> None:
        super().__init__()
        self.ask = ask
        self.told = False
        self.start()

    def run(self) -> None:
        try:
            self.ask()
        except Unavailable:
            self.told = True

    def join(self, timeout: float | None = 10) -> None:
        super().join(timeout)
        assert self.told


def test_the_innermost_limit_cannot_be_wider_than_those_around_it() -> None:
    assert seconds_left(70) == 70
    with within(50):
        with within(600):
            assert 20 < seconds_left(70) <= 50
        with within(0.01):
            time.sleep(0.02)
            assert seconds_left(70) == 0
        assert 20 < seconds_left(70) <= 50
    assert seconds_left(70) == 70


def test_a_limit_is_that_of_its_thread_alone() -> None:
    seen: list[float] = []
    with within(1):
        other = threading.Thread(target=lambda: seen.append(seconds_left(7)))
        other.start()
        other.join()
    assert seen == [7]


def test_a_limit_ends_with_its_block_even_when_that_fails() -> None:
    with pytest.raises(RuntimeError), within(1):
        raise RuntimeError
    assert seconds_left(7) == 7


class Connection:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_a_connection_that_comes_too_late_is_closed() -> None:
    late, go = Connection(), threading.Event()

    def connect() -> Connection:
        assert go.wait(10)
        return late

    with pytest.raises(TimeoutError):
        connected(connect, 0.05)
    go.set()
    assert late.closed.wait(5)


def test_a_connection_in_time_is_handed_over_and_a_failure_as_it_is() -> None:
    ours = Connection()
    assert connected(lambda: ours, 5) is ours
    assert not ours.closed.is_set()
    with pytest.raises(ZeroDivisionError):
        connected(lambda: 1 / 0, 5)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql+pymysql"])
def test_a_server_that_says_nothing_is_unavailable_in_time(scheme: str) -> None:
    waits = []
    # a busy machine may hold any one of them up
    while len(waits) < TRIES and min(waits, default=SOON) >= SOON:
        with silent_server() as port:
            db = Database(f"{scheme}://nobody:x@127.0.0.1:{port}/none")
            with timed() as elapsed, pytest.raises(Unavailable), within(0.2):
                db.ping()
            waits.append(elapsed())
            db.close()
    assert min(waits) < SOON


def test_a_silent_server_makes_one_caller_wait_and_refuses_the_others_at_once() -> None:
    with silent_server() as port:
        db = Database(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none")
        with pytest.raises(Unavailable), within(0.5):
            db.ping()
        with timed() as elapsed:
            for _ in range(MANY):
                with pytest.raises(Unavailable):
                    db.ping()
                with pytest.raises(Unavailable), db.read():
                    pass
        assert elapsed() < AT_ONCE
        db.close()


def test_a_server_that_refuses_is_asked_again_by_everybody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    db = Database(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none")
    with pytest.raises(Unavailable):
        db.ping()
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(5)
        asking = Refused(db.ping)
        server.accept()[0].close()
        asking.join()
    db.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    schema.upgrade(url)
    db = Database(url)
    yield db
    db.close()


@contextmanager
def locked(db: Database) -> Iterator[None]:
    with closing(sqlite3.connect(str(db.engine.url.database), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def test_a_locked_sqlite_is_read_as_ever_and_refuses_writers_in_time(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(sqlite):
        with pytest.raises(Unavailable), within(0.5):
            sqlite.touch()
        with timed() as elapsed:
            for _ in range(MANY):
                with pytest.raises(Unavailable):
                    sqlite.touch()
        assert elapsed() < AT_ONCE
        assert schema.is_current(sqlite)
    patiently(sqlite.touch, 10)
    assert [each.getMessage() for each in caplog.records if each.name == "storage.breaker"] == [
        "the database does not answer",
        "the database answers again",
    ]


def test_a_writer_that_had_no_luck_among_others_shuts_nothing(sqlite: Database) -> None:
    """It is busy: others are served meanwhile."""
    sqlite.touch()
    with locked(sqlite):
        asking = Refused(lambda: _touch_for(sqlite, 0.6))
        time.sleep(0.1)
        sqlite._writing._answered_at = time.monotonic()
        asking.join()
    sqlite.touch()


def _touch_for(db: Database, seconds: float) -> None:
    with within(seconds):
        db.touch()


def test_a_statement_that_is_wrong_is_told_as_it_is(sqlite: Database) -> None:
    engine = create_engine(sqlite.engine.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (id INTEGER PRIMARY KEY)"))
    engine.dispose()
    for _ in range(3):
        with pytest.raises(Exception, match="UNIQUE"), sqlite.write() as session:
            session.execute(text("INSERT INTO one VALUES (1), (1)"))
    sqlite.touch()


def test_what_must_be_recorded_is_tried_until_it_is_or_time_is_up(sqlite: Database) -> None:
    released = threading.Event()

    def hold() -> None:
        with locked(sqlite):
            released.wait(1.5)

    holding = threading.Thread(target=hold)
    holding.start()
    time.sleep(0.2)
    patiently(sqlite.touch, 20)
    holding.join()
    with locked(sqlite), pytest.raises(Unavailable):
        patiently(sqlite.touch, 0.1)
