"""Patience: how long a thread waits for the database, whatever the database does.

A server that is frozen or cut off does not say so: its sockets stay silent, and no time limit of its own ends
the wait. So the limit is kept here, on our side of the wire. Nothing here knows what is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")

_limit = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread asks the database inside the block is answered, or fails, in `seconds` altogether."""
    outer: float | None = getattr(_limit, "until", None)
    until = time.monotonic() + seconds
    _limit.until = until if outer is None else min(outer, until)
    try:
        yield
    finally:
        _limit.until = outer


def seconds_left(longest: float) -> float:
    """What the blocks around leave, never negative and never more than `longest` seconds."""
    until: float | None = getattr(_limit, "until", None)
    return longest if until is None else max(0.0, min(longest, until - time.monotonic()))


def connected(connect: Callable[[], T], seconds: float) -> T:
    """What `connect` returns; `TimeoutError` after `seconds`, even where it hangs in a name's resolution.

    A connection that comes too late is closed. It is made in a thread of its own: that costs little, for
    connections are kept and used again.
    """
    outcome: Future[T] = Future()

    def make() -> None:
        try:
            connection: Any = connect()
        except Exception as problem:
            with suppress(InvalidStateError):
                outcome.set_exception(problem)
            return
        try:
            outcome.set_result(connection)
        except InvalidStateError:
            connection.close()

    threading.Thread(target=make, name="connect", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if not outcome.cancel():
            return outcome.result()
        raise TimeoutError("no connection in time") from None
