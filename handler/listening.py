"""Listening: the open pages of this process, and the one look at the database that serves them all."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from errors import Unavailable
from handler.message import VisitorEvent
from storage.events import Published

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.4
"""How late an agent's words may be: what a person does not feel."""
UNSETTLED_SECONDS = 10.0
"""Ids of different dialogues may be committed out of order; no transaction is open as long as this."""
MOST_WAITING = 1_000
"""Events that a reader may be behind. It is cut then, and reads them from the database when it comes back."""

EVERYONE = 0
"""The number under which an event is for all who listen; no dialogue and no agent has it."""

Inbox = queue.Queue[VisitorEvent | None]


class Source(Protocol):
    """Where events are kept; ids grow in the order in which one reader's events are committed."""

    def newest(self) -> int: ...

    def since(self, after: int, limit: int = 1_000) -> list[Published]: ...

    def of_dialogue(self, session_id: int, after: int, limit: int = 1_000) -> list[VisitorEvent]: ...


class Listening:
    """Pages that follow a dialogue's events. One per process; it looks only while somebody listens."""

    def __init__(self, events: Source) -> None:
        self.events = events
        self._inboxes: dict[int, set[Inbox]] = defaultdict(set)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def follow(
        self, dialogue: int, after: int | None, heartbeat: float
    ) -> Iterator[int | VisitorEvent | None]:
        """The id it follows from, then the dialogue's events as they come; None after a quiet `heartbeat`.

        Ends when the process does, or when its reader is hopelessly behind. Raises `Unavailable` at first.
        """
        inbox: Inbox = queue.Queue(MOST_WAITING + 1)
        # first listen, then look: what comes in between is seen twice here and told once
        self._add(dialogue, inbox)
        try:
            seen = self.events.newest() if after is None else after
            yield seen
            for event in self.events.of_dialogue(dialogue, seen):
                seen = event.id
                yield event
            while not self._stopped.is_set():
                try:
                    found = inbox.get(timeout=heartbeat)
                except queue.Empty:
                    yield None
                    continue
                if found is None:
                    return
                if found.id > seen:
                    seen = found.id
                    yield found
        finally:
            self._remove(dialogue, inbox)

    def stop(self) -> None:
        """Ends every reader: a page comes back by itself, to another process."""
        self._stopped.set()
        with self._lock:
            inboxes = [each for some in self._inboxes.values() for each in some]
        for inbox in inboxes:
            _end(inbox)

    @property
    def listeners(self) -> int:
        """Pages that listen in this process."""
        with self._lock:
            return sum(map(len, self._inboxes.values()))

    def _add(self, dialogue: int, inbox: Inbox) -> None:
        with self._lock:
            self._inboxes[dialogue].add(inbox)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look_again_and_again, name="events", daemon=True)
                self._thread.start()

    def _remove(self, dialogue: int, inbox: Inbox) -> None:
        with self._lock:
            self._inboxes[dialogue].discard(inbox)
            if not self._inboxes[dialogue]:
                del self._inboxes[dialogue]

    def _look_again_and_again(self) -> None:
        floor: int | None = None
        told: dict[int, float] = {}
        while not self._stopped.wait(LOOK_SECONDS):
            with self._lock:
                if not self._inboxes:
                    self._thread = None
                    return
            try:
                if floor is None:
                    # a page that came before this look reads from the database what the look leaves out
                    floor = max(0, self.events.newest() - MOST_WAITING)
                floor = self._tell(floor, told)
            except Unavailable:
                log.debug("listening waits for the database")
            except Exception:
                log.exception("listening stumbled")

    def _tell(self, floor: int, told: dict[int, float]) -> int:
        """Hands out what is new above `floor`; returns the next floor, below which nothing can come late."""
        now, at = time.monotonic(), floor
        while found := self.events.since(at):
            for published in found:
                if published.event.id not in told:
                    told[published.event.id] = now
                    self._hand_out(published.session_id, published.event)
            at = found[-1].event.id
        for number in [each for each, when in told.items() if now - when > UNSETTLED_SECONDS]:
            floor = max(floor, number)
            del told[number]
        return floor

    def _hand_out(self, dialogue: int, event: VisitorEvent) -> None:
        with self._lock:
            if dialogue == EVERYONE:
                inboxes = [each for some in self._inboxes.values() for each in some]
            else:
                inboxes = list(self._inboxes.get(dialogue, ()))
        for inbox in inboxes:
            if inbox.qsize() < MOST_WAITING:
                inbox.put(event)
            else:
                _end(inbox)


def _end(inbox: Inbox) -> None:
    with suppress(queue.Full):  # then the word is in it already
        inbox.put_nowait(None)
