"""Calls of one kind that come at the same time, carried out as one.

A transaction costs about the same for one exchange as for ten: the round trips, the commit, and on SQLite the
wait for the disk. So who comes while others are at work waits, and all who wait are served together next.
Nobody waits for company: a call that comes when nobody is at work is carried out at once, by its caller.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from crew import Crew
from errors import Unavailable
from rounds import Rounds
from storage.breaker import Busy
from storage.patience import seconds_left, within

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 50
"""Calls in one transaction: what it locks, others wait for."""
LATE_SECONDS = 0.05
"""Between two looks at those who wait: so much later than its patience ends a call may hear of it."""
LONGEST_SECONDS = 10.0
"""How long a call without a limit of its own waits for its turn and its result."""


class _Seat(Generic[Item, Result]):
    """One call that waits."""

    __slots__ = ("_called", "item", "late", "problem", "result", "until")

    def __init__(self, item: Item, seconds: float) -> None:
        self.item = item
        self.until = time.monotonic() + seconds
        """When the caller's patience ends."""
        self.result: Result | None = None
        """None: to be carried out alone."""
        self.problem: Unavailable | None = None
        self.late = False
        """The patience was over before the call was served."""
        # a bare lock as a bell that rings once: the cheapest way to wait there is
        self._called = threading.Lock()
        self._called.acquire()

    def wait(self, watch: Rounds[_Seat[Item, Result]]) -> bool:
        """Whether the call was served in time, by the `watch`: a timer would cost as much as the wait."""
        # looked at, not tried: with greenlets a try in vain lets everybody else run first
        if not self._called.locked():
            return True
        try:
            watch.enter(self)
        except RuntimeError:
            # no thread can be had
            return self._called.acquire(timeout=max(0.0, self.until - time.monotonic()))
        try:
            self._called.acquire()
        finally:
            watch.leave(self)
        return not self.late

    def visit(self, now: float) -> None:
        """Ends the wait of a call whose patience is over."""
        if now >= self.until and self._called.locked():
            self.late = True
            self.call()

    def call(self, result: Result | None = None, problem: Unavailable | None = None) -> None:
        """Ends the wait; a second time does nothing."""
        if self._called.locked():
            self.result, self.problem = result, problem
            # the watch may have ended the wait this moment
            with suppress(RuntimeError):
                self._called.release()


class Together(Generic[Item, Result]):
    """Joins concurrent calls into calls of `all_at_once`.

    `all_at_once` carries out the items, in the order they came, in one transaction; it returns a result for
    each, or None for one that needs `alone`. When it raises nothing may have happened: then each goes on
    alone, unless the database is away, which concerns everybody.
    """

    def __init__(
        self,
        alone: Callable[[Item], Result],
        all_at_once: Callable[[Sequence[Item]], Sequence[Result | None]],
    ) -> None:
        self._alone = alone
        self._all_at_once = all_at_once
        self._lock = threading.Lock()
        self._at_work = False
        self._waiting: list[_Seat[Item, Result]] = []
        self._crew = Crew("together", kept=1)
        self._watch: Rounds[_Seat[Item, Result]] = Rounds("seats", lambda _: LATE_SECONDS)

    def __call__(self, item: Item) -> Result:
        """The item's result, in the time that the caller's `within` leaves. Raises as `alone` does.

        `Busy` when that time ends first; then the item is either not begun, or carried out unseen.
        """
        seat: _Seat[Item, Result] = _Seat(item, seconds_left(LONGEST_SECONDS))
        with self._lock:
            self._waiting.append(seat)
            first, self._at_work = not self._at_work, True
        if first:
            self._serve_one_set(seat.until)
            self._go_on()
        if not seat.wait(self._watch):
            with self._lock:
                if seat in self._waiting:
                    self._waiting.remove(seat)
            raise Busy("the database is busy")
        if seat.problem is not None:
            raise type(seat.problem)(seat.problem.message) from seat.problem
        return self._alone(item) if seat.result is None else seat.result

    def _go_on(self) -> None:
        """Has those served who came meanwhile, in a thread: no caller works for others all the time."""
        if not self._more():
            return
        try:
            self._crew.begin(self._serve)
        except RuntimeError:
            # no thread can be had
            self._everybody_alone()

    def _serve(self) -> None:
        # what ended this thread has been logged, and nobody is above it to be told
        with suppress(BaseException):
            while self._more():
                self._serve_one_set(None)

    def _more(self) -> bool:
        with self._lock:
            self._at_work = bool(self._waiting)
            return self._at_work

    def _serve_one_set(self, until: float | None) -> None:
        """Serves who waits until this moment, or as long as one of them has patience."""
        seats: Sequence[_Seat[Item, Result]] = ()
        try:
            # whoever is on the way here may come along
            time.sleep(0)
            with self._lock:
                seats, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if seats:
                self._carry_out(seats, max(seat.until for seat in seats) if until is None else until)
        except BaseException:
            # whatever ends this thread, nobody may wait for it
            log.exception("nobody serves the others any more")
            for seat in seats:
                seat.call()
            self._everybody_alone()
            raise

    def _everybody_alone(self) -> None:
        with self._lock:
            left, self._waiting, self._at_work = self._waiting, [], False
        for seat in left:
            seat.call()

    def _carry_out(self, seats: Sequence[_Seat[Item, Result]], until: float) -> None:
        results: Sequence[Result | None] = [None] * len(seats)
        problem: Unavailable | None = None
        try:
            with within(until - time.monotonic()):
                results = self._all_at_once([seat.item for seat in seats])
        except Unavailable as away:
            problem = away
        except Exception as error:
            # one item's fault: alone, it meets whose it is. A database's own words may quote the others' rows
            why = {"items": len(seats), "why": type(error).__name__}
            log.warning("what failed together is tried alone", extra=why)
        for seat, result in zip(seats, results, strict=True):
            # who has more time than this set had may see whether the database only was slow
            seat.call(result, problem if seat.until <= until else None)
