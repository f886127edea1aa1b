"""How often a stranger may call. Counted in each process for itself: nginx counts for all of them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from errors import TooManyRequests

MOST = 20_000
"""Callers remembered. Whoever is forgotten begins anew, which takes as many others to bring about."""
RETRY_SECONDS = 5


class Limit:
    """A bucket for each caller: it holds a minute's calls, and fills again in one. 0: no limit."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, caller: str) -> None:
        """Counts one call; raises `TooManyRequests` when there were too many."""
        if not self.per_minute:
            return
        now = time.monotonic()
        with self._lock:
            left, since = self._buckets.pop(caller, (float(self.per_minute), now))
            left = min(float(self.per_minute), left + (now - since) * self.per_minute / 60)
            self._buckets[caller] = (max(0.0, left - 1) if left >= 1 else left, now)
            if len(self._buckets) > MOST:
                self._buckets.popitem(last=False)
        if left < 1:
            raise TooManyRequests("too many requests: wait a moment")
