"""The watch over everybody who waits for Coze's next bytes: one thread ends the waits that last too long.

A timer for each wait would cost as much as the read that it guards, and nearly all are cancelled at once.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

LOOK_SECONDS = 0.25
"""Between two looks: so much later than it should a wait may end."""


class Waiting(Protocol):
    """One response that is being read."""

    until: float
    """`time.monotonic()` at which the wait has lasted long enough; infinite while nobody waits."""

    def give_up(self) -> None:
        """Ends the wait, from another thread."""
        ...


class Watch:
    """Looks after the responses of a process; its thread runs while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[Waiting] = set()
        self._looking = False

    def begin(self, waiting: Waiting) -> None:
        """Until `end` its waits are ended in time. Raises `RuntimeError` where no thread can be had."""
        with self._lock:
            self._watched.add(waiting)
            start, self._looking = not self._looking, True
        if not start:
            return
        try:
            threading.Thread(target=self._look, name="watch", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._watched.discard(waiting)
                self._looking = False
            raise

    def end(self, waiting: Waiting) -> None:
        """Not to be watched any more; a second time does nothing."""
        with self._lock:
            self._watched.discard(waiting)

    def _look(self) -> None:
        while watched := self._here():
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for each in watched:
                if now >= each.until:
                    each.give_up()

    def _here(self) -> list[Waiting]:
        with self._lock:
            self._looking = bool(self._watched)
            return list(self._watched)
