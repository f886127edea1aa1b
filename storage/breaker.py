"""The breaker in front of the database: nobody waits for what others have just waited for in vain.

A failure that comes at once (connection refused, disk full) costs nothing, so the next caller may try. One
that took its time closes the way to everybody; a thread in the background then looks for the database and
opens the way again. It also says in the log when the database goes away and when it is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from errors import Unavailable
from storage.conflicts import is_among_rows

log = logging.getLogger(__name__)

SLOW_SECONDS = 0.4
"""A failure that took longer is one that callers must be spared."""
LOOK_SECONDS = 0.5
"""Pause between two looks for a database that is away."""
OURS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
"""What the database says to a statement that is wrong: it answers."""


class Busy(Unavailable):
    """The database is there, but had no time for this: it served others, or another has the row."""


class Breaker:
    """One way of using one database. `look` raises when the database does not serve that way."""

    def __init__(self, way: str, look: Callable[[], None]) -> None:
        self.way = way
        self.look = look
        self._lock = threading.Lock()
        self._shut = False
        self._ended = threading.Event()
        self._answered_at = 0.0
        self._failed_at = float("-inf")
        self._away_since: float | None = None

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around each transaction: `Unavailable` at once while the way is shut, and for what fails inside;
        `Busy` when others were served meanwhile, or have the rows that were wanted."""
        if self._shut:
            raise Unavailable("the database does not answer")
        began = time.monotonic()
        try:
            yield
        except (DBAPIError, PoolTimeout) as problem:
            if isinstance(problem, OURS):
                raise
            # a row that another transaction keeps is no reason to turn everybody away
            if not is_among_rows(problem) and self._failed(began, problem):
                raise Unavailable("the database does not answer") from problem
            raise Busy("the database is busy") from problem
        else:
            self._answered_at = time.monotonic()
            if self._away_since is not None:
                self._back()

    def trouble_since(self, seconds: float) -> bool:
        """Whether the database is away, or was within the last `seconds`."""
        return self._away_since is not None or time.monotonic() - self._failed_at < seconds

    def close(self) -> None:
        """Shuts the way for good."""
        self._ended.set()
        self._shut = True

    def _failed(self, began: float, problem: Exception) -> bool:
        """Whether this looks like a database that is away."""
        now = time.monotonic()
        with self._lock:
            if self._answered_at >= began:
                return False
            self._failed_at = now
            first, self._away_since = self._away_since is None, self._away_since or began
            looking = now - began >= SLOW_SECONDS and not self._shut
            if looking:
                self._shut = True
        if first:
            log.error(
                "the database does not answer",
                extra={"way": self.way, "why": str(getattr(problem, "orig", None) or problem)[:300]},
            )
        if looking:
            threading.Thread(target=self._wait_for_it, name="database", daemon=True).start()
        return True

    def _wait_for_it(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as problem:
                log.debug("still away", extra={"way": self.way, "why": type(problem).__name__})
                continue
            self._shut = self._ended.is_set()
            self._back()
            return

    def _back(self) -> None:
        with self._lock:
            since, self._away_since = self._away_since, None
            now = self._answered_at = self._failed_at = time.monotonic()
        if since is not None:
            log.warning(
                "the database answers again", extra={"way": self.way, "seconds": round(now - since, 1)}
            )
