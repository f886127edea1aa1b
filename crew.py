"""Crews: threads that stay for the next task.

To start a thread is to wait until it runs, which takes a turn of everybody else who is at work; one that is
there already is only told.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)

Task = Callable[[], object]


class Crew:
    """Carries out tasks in the background; up to `kept` threads without one wait for it."""

    def __init__(self, name: str, kept: int) -> None:
        self._name = name
        self._kept = kept
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        """Threads that wait, less the tasks that are on the way to them."""
        self.busy = 0
        """Tasks begun and not ended."""

    def begin(self, task: Task) -> None:
        """Returns at once. Raises `RuntimeError` where no thread can be had; then nothing is done."""
        with self._lock:
            self.busy += 1
            if waits := self._idle > 0:
                self._idle -= 1
        if waits:
            self._tasks.put(task)
            return
        try:
            threading.Thread(target=self._work, args=([task],), name=self._name, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self.busy -= 1
            raise

    def _work(self, first: list[Task]) -> None:
        # taken out of its list: a thread keeps what it was started with as long as it lives
        task = first.pop()
        while True:
            try:
                task()
            except Exception:
                log.exception("a task failed", extra={"crew": self._name})
            # what it held is not kept until the next one comes
            del task
            with self._lock:
                self.busy -= 1
                if self._idle >= self._kept:
                    return
                self._idle += 1
            task = self._tasks.get()
