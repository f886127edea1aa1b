"""Heartbeats: who waits long for the next piece is woken now and then, to show that somebody is there."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rounds import Rounds

BEATS = 10
"""Looks at those who wait in the time of the shortest heartbeat: so much later than asked for it may come."""
LONGEST_BEAT = 0.25
"""Seconds between two looks at the most."""


class Reader:
    """A bell for one thread, who is woken without a ring after each `heartbeat` seconds of waiting."""

    __slots__ = ("_bell", "_rung", "_since", "heartbeat")

    def __init__(self, heartbeat: float | None) -> None:
        self.heartbeat = math.inf if heartbeat is None else heartbeat
        self._since: float | None = None
        """`time.monotonic()` at which the reader began to wait; None while it does not."""
        self._rung = False
        """Somebody rang; the heartbeat wakes without it."""
        # locked while nothing is new: a bare lock is the cheapest way to wait that there is
        self._bell = threading.Lock()
        self._bell.acquire()

    def ring(self) -> None:
        self._rung = True
        self._wake()

    def wait(self) -> bool:
        """Waits for the next ring, taking all that are there for one; False after the time of a heartbeat."""
        began = time.monotonic()
        while True:
            self._since = began
            self._bell.acquire()
            self._since = None
            rung, self._rung = self._rung, False
            # a wake that crossed with a ring comes too early
            if rung or time.monotonic() - began >= self.heartbeat:
                return rung

    def visit(self, now: float) -> None:
        """Wakes the reader if it has waited long enough, once."""
        since = self._since
        if since is not None and now - since >= self.heartbeat:
            self._since = None
            self._wake()

    def _wake(self) -> None:
        if self._bell.locked():
            # two may ring in the same moment
            with suppress(RuntimeError):
                self._bell.release()


class Pulse:
    """The heartbeats of a process's readers."""

    def __init__(self) -> None:
        self._rounds: Rounds[Reader] = Rounds("pulse", _pause)

    @contextmanager
    def waking(self, reader: Reader) -> Iterator[None]:
        """The reader has its heartbeats inside the block."""
        if reader.heartbeat < math.inf:
            # no thread can be had: better an answer without heartbeats than none, and the next reader tries
            with suppress(RuntimeError):
                self._rounds.enter(reader)
        try:
            yield
        finally:
            self._rounds.leave(reader)


def _pause(readers: Sequence[Reader]) -> float:
    return min(LONGEST_BEAT, *(reader.heartbeat / BEATS for reader in readers))
