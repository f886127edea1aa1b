"""Totals of a log that grows only at its new end: what is settled is counted once a minute, not per page.

Counting a million index entries takes a tenth of a second. Rows older than `SETTLED_MS` are not added to any
more, so a large total is the remembered count of those plus a fresh count of the few newer ones. Only an
erasure can change the remembered part; for at most `KEEP_MS` after one, a large total may be too high.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

SETTLED_MS = 60_000
"""Far longer than it takes to commit a row after its moment was noted."""
KEEP_MS = 60_000
LARGE = 10_000
"""Smaller totals are counted anew each time: that is fast, and always right."""
ENTRIES = 256

Count = Callable[[int | None, int | None], int]
"""Counts the rows from one unix millisecond up to, not including, another; None is open."""


@dataclass(frozen=True, slots=True)
class _Settled:
    rows: int
    until_ms: int
    counted_ms: int


class Totals:
    """The remembered counts of one process; safe to share between threads."""

    def __init__(self, large: int = LARGE) -> None:
        self._large = large
        self._settled: OrderedDict[Hashable, _Settled] = OrderedDict()
        self._lock = threading.Lock()

    def total(self, key: Hashable, start_ms: int | None, end_ms: int | None, now: int, count: Count) -> int:
        """The number of rows in the period; `key` stands for everything that `count` filters by."""
        with self._lock:
            known = self._settled.get(key)
        if known is None or not 0 <= now - known.counted_ms < KEEP_MS:
            until = now - SETTLED_MS if end_ms is None else min(end_ms, now - SETTLED_MS)
            known = _Settled(count(start_ms, until), until, now)
            self._remember(key, known)
        if end_ms is not None and end_ms <= known.until_ms:
            return known.rows
        newer = known.until_ms if start_ms is None else max(start_ms, known.until_ms)
        return known.rows + count(newer, end_ms)

    def _remember(self, key: Hashable, known: _Settled) -> None:
        with self._lock:
            self._settled.pop(key, None)
            if known.rows > self._large:
                self._settled[key] = known
            if len(self._settled) > ENTRIES:
                self._settled.popitem(last=False)
