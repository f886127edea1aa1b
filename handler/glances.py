"""Whether a person has taken a dialogue while its answer streams: one look for all of a process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 1.0
"""How long a streamed answer may go on after a person took the dialogue."""


class Glances:
    """Asks `owned` about once in `seconds` which of the dialogues that are being answered people have.

    Whichever answer comes by first asks, for all. Nobody asks while nothing is answered.
    """

    def __init__(
        self, owned: Callable[[Collection[int]], Collection[int]], seconds: float = LOOK_SECONDS
    ) -> None:
        self._owned = owned
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answered: Counter[int] = Counter()
        self._taken: set[int] = set()
        self._next = 0.0
        """`time.monotonic()` of the next look."""

    @contextmanager
    def at(self, session_id: int) -> Iterator[Callable[[], bool]]:
        """While the dialogue is being answered: tells whether a person has taken it. A yes is for good."""
        with self._lock:
            if not self._answered:
                self._next = time.monotonic() + self._seconds
            self._answered[session_id] += 1
            # what an earlier answer was told may be over
            self._taken.discard(session_id)
        taken = False

        def glance() -> bool:
            nonlocal taken
            taken = taken or self._is_taken(session_id)
            return taken

        try:
            yield glance
        finally:
            with self._lock:
                self._answered[session_id] -= 1
                if not self._answered[session_id]:
                    del self._answered[session_id]

    def _is_taken(self, session_id: int) -> bool:
        if time.monotonic() >= self._next:
            self._look()
        return session_id in self._taken

    def _look(self) -> None:
        with self._lock:
            if (now := time.monotonic()) < self._next:
                return
            self._next = now + self._seconds
            answered = [*self._answered]
        taken = set(self._owned(answered))
        with self._lock:
            self._taken = taken
