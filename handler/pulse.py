"""Heartbeats: who waits long for the next piece is woken now and then, to show that somebody is there.

One thread looks after all who wait. A timer for each piece would cost a tenth of what a piece costs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")


class Quiet(Enum):
    """What wakes a reader to whom nothing came for long."""

    QUIET = auto()


QUIET: Final = Quiet.QUIET
BEATS = 10
"""Looks at those who wait in the time of the shortest heartbeat: so much later than asked for it may come."""
LONGEST_BEAT = 0.25
"""Seconds between two looks at the most."""


class Reader(Generic[Item]):
    """A queue for one thread, who is woken by `QUIET` in it after each `heartbeat` seconds of waiting."""

    __slots__ = ("_coming", "_since", "heartbeat")

    def __init__(self, heartbeat: float | None) -> None:
        self.heartbeat = math.inf if heartbeat is None else heartbeat
        self._since: float | None = None
        """`time.monotonic()` at which the reader began to wait; None while it does not."""
        self._coming: SimpleQueue[Item | Quiet] = SimpleQueue()

    def put(self, item: Item) -> None:
        self._coming.put(item)

    def take(self) -> list[Item]:
        """Waits for the next item and returns all that are there; none after the time of a heartbeat."""
        coming = self._coming
        while True:
            self._since = began = time.monotonic()
            items = [coming.get()]
            self._since = None
            while not coming.empty():
                items.append(coming.get())
            if found := [each for each in items if each is not QUIET]:
                return found
            # a wake that crossed with an item comes too early
            if time.monotonic() - began >= self.heartbeat:
                return found

    def wake(self, now: float) -> None:
        """Puts `QUIET` in if the reader has waited long enough, once."""
        since = self._since
        if since is not None and now - since >= self.heartbeat:
            self._since = None
            self._coming.put(QUIET)


class Pulse:
    """Wakes the readers of a process; its thread runs while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: set[Reader[Any]] = set()
        self._beating = False

    @contextmanager
    def waking(self, reader: Reader[Any]) -> Iterator[None]:
        """The reader has its heartbeats inside the block."""
        if reader.heartbeat == math.inf:
            yield
            return
        with self._lock:
            self._readers.add(reader)
            begin, self._beating = not self._beating, True
        try:
            if begin:
                self._begin()
            yield
        finally:
            with self._lock:
                self._readers.discard(reader)

    def _begin(self) -> None:
        try:
            threading.Thread(target=self._beat, name="pulse", daemon=True).start()
        except RuntimeError:
            # no thread can be had: better an answer without heartbeats than none, and the next reader tries
            self._beating = False

    def _beat(self) -> None:
        while readers := self._here():
            time.sleep(min(LONGEST_BEAT, *(reader.heartbeat / BEATS for reader in readers)))
            now = time.monotonic()
            for reader in readers:
                reader.wake(now)

    def _here(self) -> list[Reader[Any]]:
        with self._lock:
            self._beating = bool(self._readers)
            return list(self._readers)
