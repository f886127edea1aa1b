"""Rounds: one thread looks after all who wait for something that may never come.

A timer for each wait would cost as much as what is waited for, and nearly all are cancelled at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

log = logging.getLogger(__name__)


class Visited(Protocol):
    """Somebody who waits."""

    def visit(self, now: float) -> None:
        """Called in each round with `time.monotonic()`, from the thread that makes them. Does not wait."""
        ...


Member = TypeVar("Member", bound=Visited)


class Rounds(Generic[Member]):
    """Visits its members again and again; the thread runs while there are any.

    `pause` tells the seconds between two rounds, for those who are there.
    """

    def __init__(self, name: str, pause: Callable[[Sequence[Member]], float]) -> None:
        self._name = name
        self._pause = pause
        self._lock = threading.Lock()
        self._members: set[Member] = set()
        self._going = False

    def __len__(self) -> int:
        """How many are there."""
        return len(self._members)

    def enter(self, member: Member) -> None:
        """Visits it until it leaves. Raises `RuntimeError` where no thread can be had; then it is not in."""
        with self._lock:
            self._members.add(member)
            begin, self._going = not self._going, True
        if not begin:
            return
        try:
            threading.Thread(target=self._go, name=self._name, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._members.discard(member)
                self._going = False
            raise

    def leave(self, member: Member) -> None:
        """Visits it no more; a second time does nothing."""
        with self._lock:
            self._members.discard(member)

    def _go(self) -> None:
        while members := self._here():
            time.sleep(self._pause(members))
            now = time.monotonic()
            for each in members:
                try:
                    each.visit(now)
                except Exception:
                    # the others count on the next round
                    log.exception("a visit failed", extra={"rounds": self._name})

    def _here(self) -> list[Member]:
        with self._lock:
            self._going = bool(self._members)
            return list(self._members)
