"""Calls made at the same moment, as processes make them that know nothing of each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from storage.db import patiently

T = TypeVar("T")

PATIENCE_SECONDS = 30.0


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each call returned, in their order; they begin together.

    So many new connections at once may take a busy machine longer than the gateway waits for its database.
    """
    together = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        together.wait(PATIENCE_SECONDS)
        return patiently(call, PATIENCE_SECONDS)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
