"""The backlog: answers to what came in while the database was away, made a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 16
"""Answers made together: what came in during minutes shall not reach Coze in one second."""


class Backlog:
    """A context in which an answer of the backlog is made; it waits for its turn when it is entered."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)
        self._complete = threading.Event()
        self._complete.set()

    def __enter__(self) -> None:
        self._complete.wait()
        self._places.acquire()

    def __exit__(self, *_problem: object) -> None:
        self._places.release()

    @contextmanager
    def growing(self) -> Iterator[None]:
        """Begins no answer until the block ends: it would only slow down the claims of the others."""
        self._complete.clear()
        try:
            yield
        finally:
            self._complete.set()
