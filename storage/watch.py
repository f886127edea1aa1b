"""How a dead holder of a lease is told from a live one: by watching, not by the clock on the wall.

Wall clocks jump, and those of two hosts differ. A lease that looks expired, or longer than any lease can be,
is therefore only suspected. Its holder is dead when nobody has touched it for a while by our own monotonic
clock: a live one renews it, whatever the clocks say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

MOST = 10_000
"""Suspects remembered at once. Forgetting one only lets its watch begin anew."""


class Watch:
    """What one process has seen of the leases it suspects; safe to share between threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}
        self._lock = threading.Lock()

    def is_still(self, holding: Hashable, mark: Hashable) -> bool:
        """Whether `holding` has shown the same `mark` for the watch's seconds; the first look begins them."""
        now = time.monotonic()
        with self._lock:
            before = self._seen.get(holding)
            if before is not None and before[0] == mark:
                return now - before[1] >= self.seconds
            if len(self._seen) >= MOST:
                self._seen.clear()
            self._seen[holding] = mark, now
        return False


def looks_alive(lease_ms: int, longest_ms: int, now: int) -> bool:
    """Whether the lease ends neither before now nor later than any lease given now could."""
    return now <= lease_ms <= now + longest_ms
