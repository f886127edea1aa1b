"""The engine and its short transactions.

A transaction is never open across network I/O, a sleep or a queue: with greenlets one SQLite writer that
yields would stop its whole worker. `in_transaction()` lets the outbound side check that at run time.

A database that does not answer is `Unavailable` to everybody above, soon: see patience.py and breaker.py.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row, event, text
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from errors import Unavailable
from storage.breaker import Breaker, Busy
from storage.conflicts import is_lock_conflict
from storage.engine import make_engine, open_transaction
from storage.patience import seconds_left, within
from storage.statements import Change, Mapped, unattended

T = TypeVar("T")
Ask = Callable[[Executable, Mapping[str, Any]], Sequence[Row[Any]]]
"""Executes a statement that only looks; returns its rows."""

LOOK_SECONDS = 1.0
"""How long a look for a database that is away may take."""
GLANCE_SECONDS = 0.02
"""The same for SQLite, whose waiting others feel."""
TURN_SECONDS = 1.0
"""How long a writer waits for its turn at an SQLite file before it tries without."""
CONFLICT_SECONDS = 6.0
"""How long a change is tried again after lock conflicts, or while others are served."""
_open = threading.local()


def now_ms() -> int:
    """Unix milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000


def in_transaction() -> bool:
    """Whether this thread (or greenlet) has a transaction open."""
    return bool(getattr(_open, "depth", 0))


class Database:
    """One engine, and the ways to use it: `once()` for a change of one statement, `steps()` or `transact()`
    for one of several, or `write()` where nothing competes, and `read()`."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self.dialect = self.engine.dialect.name
        self.tells = self.engine.dialect.update_returning
        """Whether an UPDATE can tell of the rows it changed; MariaDB's cannot."""
        self._line = threading.Lock()
        self._writing = self._reading = Breaker("write", self._look_whether_it_writes)
        self._turn: Callable[[], AbstractContextManager[None]] = nullcontext
        self._leave: Callable[[], None] = lambda: None
        if self.dialect == "sqlite":
            if (file := self.engine.url.database) and file != ":memory:":
                from storage.turnstile import Turnstile  # with locks that only some systems have

                turnstile = Turnstile(Path(file), TURN_SECONDS)
                self._turn, self._leave = turnstile.turn, turnstile.close
            # a file that is locked or full can still be read; a server is there or is not
            self._reading = Breaker("read", self._look_whether_it_reads)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end of the block, or rolled back if it raises.

        `Unavailable` when the database does not answer, or cannot store anything.
        """
        with (
            self._writing.passing(),
            self._turn(),
            _counted(),
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            open_transaction(session.connection())
            yield session

    def transact(self, step: Callable[[Session], T]) -> T:
        """A write transaction around `step`, made again when the database asks for it; returns its result.

        `step` may be called several times and must do nothing outside its session.
        """

        def attempt() -> T:
            with self.write() as session:
                return step(session)

        return self._despite_conflicts(attempt)

    def steps(self, step: Callable[[Connection], T]) -> T:
        """As `transact`, for what needs no objects: a session costs as much as a statement."""

        def attempt() -> T:
            with self._writing.passing(), self._turn(), _counted(), self.engine.begin() as connection:
                open_transaction(connection)
                return step(connection)

        return self._despite_conflicts(attempt)

    def once(self, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
        """Executes and commits one statement; returns how many rows it changed.

        A third of a transaction's round trips. `Unavailable` as `write`.
        """

        def attempt() -> int:
            with self._writing.passing(), self._turn(), _counted(), self.engine.connect() as connection:
                return connection.execute(statement, values).rowcount

        return self._despite_conflicts(attempt)

    @contextmanager
    def in_line(self) -> Iterator[None]:
        """Around a change of several exchanges at once: in this process there is one at a time.

        Each locks its rows in an order of its own: two that have some in common would wait for each other.
        Other processes have other exchanges. `Busy` when it takes longer than the caller has.
        """
        if not self._line.acquire(timeout=seconds_left(CONFLICT_SECONDS)):
            raise Busy("the database is busy")
        try:
            yield
        finally:
            self._line.release()

    def tell(self, ask: Callable[[Connection], T]) -> T:
        """What one statement tells of the rows it changed, where `tells`: `ask` executes it. As `once`."""

        def attempt() -> T:
            with self._writing.passing(), self._turn(), _counted(), self.engine.connect() as connection:
                return ask(connection)

        return self._despite_conflicts(attempt)

    def change(self, change: Change, values: Mapping[str, Any]) -> Row[Any] | None:
        """Makes and commits the change; what it tells of its row, None when there was none. As `once`."""

        make = self.tell if self.tells else self.steps
        return make(lambda connection: change.on(connection, values))

    def _despite_conflicts(self, attempt: Callable[[], T]) -> T:
        deadline = time.monotonic() + seconds_left(CONFLICT_SECONDS)
        while True:
            try:
                return attempt()
            except Unavailable as problem:
                again = isinstance(problem, Busy) or is_lock_conflict(problem)
                if not again or time.monotonic() >= deadline:
                    raise
            # those who got into each other's way shall not come back together
            time.sleep(random.uniform(0.002, 0.05))  # noqa: S311 - no secret

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Statements that only look, each at what is committed by then. `Unavailable` as `write`."""
        with self._reading.passing(), _counted(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    def ask(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """The rows of one statement that only looks. `Unavailable` as `write`."""
        with self._reading.passing(), _counted(), self.engine.connect() as connection:
            return connection.execute(statement, values).all()

    def first(self, kind: type[Mapped], statement: Executable, values: Mapping[str, Any]) -> Mapped | None:
        """The first row of a statement over a whole table, as an object that no session looks after."""
        for row in self.ask(statement, values):
            return unattended(kind, row._mapping)
        return None

    def ping(self) -> None:
        """Raises `Unavailable` when the database does not answer."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def touch(self) -> None:
        """Raises `Unavailable` when nothing could be written now: a locked SQLite still has readers."""
        with self.write() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Ends every connection; whoever asks from now on gets `Unavailable`."""
        self._writing.close()
        self._reading.close()
        # what is in use this moment ends when it is given back
        event.listen(self.engine.pool, "checkin", lambda _connection, record: record.invalidate())
        self.engine.dispose()
        self._leave()

    def _look_whether_it_writes(self) -> None:
        with within(self._glance), self.engine.begin() as connection:
            open_transaction(connection)
            connection.execute(text("SELECT 1"))

    def _look_whether_it_reads(self) -> None:
        with within(self._glance), self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    @property
    def _glance(self) -> float:
        return GLANCE_SECONDS if self.dialect == "sqlite" else LOOK_SECONDS


@contextmanager
def _counted() -> Iterator[None]:
    _open.depth = getattr(_open, "depth", 0) + 1
    try:
        yield
    finally:
        _open.depth -= 1


def promptly(step: Callable[[], T], seconds: float, busy_seconds: float) -> T:
    """What `step` returns in `seconds`; in `busy_seconds` while the database serves others. `Unavailable`."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            with within(seconds):
                return step()
        except Busy:
            if time.monotonic() >= deadline:
                raise


def patiently(write: Callable[[], T], seconds: float) -> T:
    """What `write` returns, tried again while the database is away: for what is lost if it is not recorded.

    `Unavailable` after `seconds`. It may be done twice, when the database was lost in its commit.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return write()
        except Unavailable:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)


def changed(result: object) -> int:
    """How many rows a statement changed."""
    return result.rowcount if isinstance(result, CursorResult) else 0
