"""A run: one answer being made in the background, followed by any number of readers.

A reader that goes away never stops the run. `Run` is followed in memory by readers of the process that
makes it; `FollowedRun` is the same thing seen from another process, through the exchange's row.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from growing import Growing
from handler.message import Reply, Via
from handler.pulse import Pulse, Reader

POLL_SECONDS = 0.1
"""How often a reader in another process looks at the row."""

FRESH_SECONDS = 0.05
"""How long a look that found nothing serves the other readers in its process."""
RECORDING_SECONDS = 1.0
"""How long a reader who leaves waits for a reply that is just being recorded as taken by it."""
MANY = 1_000
"""Rows looked at before those that nobody looks at any more are forgotten."""


class Follows(Protocol):
    """What adapters see of a run, wherever it is made."""

    exchange_id: int
    trace_id: str
    attempt: int
    """Which delivery of the message this reader stands for; 1 is the first."""
    session: str
    """The name of the message's dialogue."""
    alone: bool
    """Nothing that was said before in the dialogue is left to be answered or shown: no late answer can come
    along with this one."""

    @property
    def given(self) -> Via | None:
        """The way by which the reply was delivered the moment it was final; None when by none."""
        ...

    @property
    def streamed(self) -> str:
        """The text of all the pieces so far: what `deltas` has yielded is its beginning."""
        ...

    def taking(self, via: Via) -> AbstractContextManager[None]:
        """Inside the block the reader gives the reply to its customer by this way as soon as it is final.

        That is recorded together with the reply, should it be an answer. Look for the reply after the block:
        until its end it may be on its way into the database.
        """
        ...

    def deltas(self, heartbeat: float | None = None) -> Iterator[str]:
        """The answer's text as it comes, piece by piece; ends when the reply is final.

        With `heartbeat`, yields an empty one after that many seconds without any.
        """
        ...

    def wait(self, timeout: float | None, via: Via | None = None) -> Reply | None:
        """The final reply, or None when `timeout` seconds pass first. `timeout=None` waits for ever.

        With `via` it is waited for as inside `taking`.
        """
        ...


class Progress:
    """The state that the producer fills and the readers of one process share.

    `pulse` gives readers their heartbeats; one serves all runs of a process.
    """

    def __init__(self, pulse: Pulse | None = None) -> None:
        self._pulse = pulse or Pulse()
        self._lock = threading.Lock()
        self._text = Growing()
        self._readers: tuple[Reader, ...] = ()
        """They are told only that there is more: each knows how much it has."""
        self._takers: list[Via] = []
        self._recording = False
        self._reply: Reply | None = None
        self._waiting: list[threading.Lock] = []
        """Held by who waits for the whole reply until it is there: a bare lock costs a third of an event."""
        self.given: Via | None = None
        self.followed = False
        """Whether anybody has begun to read the pieces; who is cut off may come back."""

    @property
    def streamed(self) -> str:
        return str(self._text)

    @contextmanager
    def taking(self, via: Via) -> Iterator[None]:
        """A reader is there who takes the reply by this way."""
        with self._lock:
            self._takers.append(via)
        try:
            yield
        finally:
            with self._lock:
                self._takers.remove(via)
                in_between = self._recording and self._reply is None
            if in_between:
                # what is written down as given must not be left behind
                self.wait(RECORDING_SECONDS)

    def begin_recording(self) -> Via | None:
        """The way by which a reader takes the reply that is recorded now; None when nobody is there."""
        if not self._takers:
            # a quick answer is there before its request has come to wait for it
            time.sleep(0)
        with self._lock:
            self._recording = bool(self._takers)
            return self._takers[0] if self._takers else None

    def emit(self, text: str) -> None:
        """Adds the next piece. Called by one thread, the producer's."""
        if not text:
            return
        # without the lock, which each piece would pay for: who comes now either finds this one or is told
        self._text.add(text)
        for reader in self._readers:
            reader.ring()

    def finish(self, reply: Reply, given: Via | None = None) -> None:
        """Makes the reply final, delivered by the way `given`; later calls change nothing."""
        with self._lock:
            if self._reply is not None:
                return
            self._reply, self.given = reply, given
            for reader in self._readers:
                reader.ring()
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.release()

    def wait(self, timeout: float | None) -> Reply | None:
        # a look is no wait, and lets nobody else run
        if self._reply is None and timeout != 0:
            mine = threading.Lock()
            mine.acquire()
            with self._lock:
                if self._reply is not None:
                    return self._reply
                self._waiting.append(mine)
            mine.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        return self._reply

    def deltas(self, heartbeat: float | None) -> Iterator[str]:
        coming = Reader(heartbeat)
        self.followed = True
        with self._lock:
            self._readers = (*self._readers, coming)
        seen = 0
        try:
            with self._pulse.waking(coming):
                while True:
                    # looked for before the text: none comes after it
                    is_final = self._reply is not None
                    if fresh := self._text.since(seen):
                        seen += len(fresh)
                        yield fresh
                    if is_final:
                        return
                    if not coming.wait():
                        yield ""
        finally:
            with self._lock:
                self._readers = tuple(each for each in self._readers if each is not coming)


class Run:
    """One reader's view of an answer made in this process."""

    def __init__(
        self,
        exchange_id: int,
        trace_id: str,
        attempt: int,
        progress: Progress,
        session: str = "",
        alone: bool = False,
    ) -> None:
        self.exchange_id = exchange_id
        self.trace_id = trace_id
        self.attempt = attempt
        self.session = session
        self.alone = alone
        self._progress = progress

    @property
    def given(self) -> Via | None:
        return self._progress.given

    @property
    def streamed(self) -> str:
        return self._progress.streamed

    def taking(self, via: Via) -> AbstractContextManager[None]:
        return self._progress.taking(via)

    def deltas(self, heartbeat: float | None = None) -> Iterator[str]:
        return self._progress.deltas(heartbeat)

    def wait(self, timeout: float | None, via: Via | None = None) -> Reply | None:
        if via is None:
            return self._progress.wait(timeout)
        with self.taking(via):
            self._progress.wait(timeout)
        return self._progress.wait(0)


class Looks:
    """Readers of one process who wait for the same row share their looks at it."""

    def __init__(self, look: Callable[[int], Reply | None]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._looked: dict[int, float] = {}

    def at(self, exchange_id: int) -> Reply | None:
        """The row's reply; None while there is none, or when another reader has looked just now."""
        now = time.monotonic()
        with self._lock:
            if now - self._looked.get(exchange_id, 0.0) < FRESH_SECONDS:
                return None
            if len(self._looked) >= MANY:
                self._looked = {one: then for one, then in self._looked.items() if now - then < FRESH_SECONDS}
            self._looked[exchange_id] = now
        reply = self._look(exchange_id)
        if reply is not None:
            with self._lock:
                # everybody may read it now
                self._looked.pop(exchange_id, None)
        return reply


class FollowedRun:
    """One reader's view of an answer made in another process: `look` reads the row's reply."""

    def __init__(
        self,
        exchange_id: int,
        trace_id: str,
        attempt: int,
        look: Callable[[], Reply | None],
        session: str = "",
    ) -> None:
        self.exchange_id = exchange_id
        self.trace_id = trace_id
        self.attempt = attempt
        self.session = session
        self.alone = False
        self.given: Via | None = None
        self.streamed = ""
        self._look = look

    def taking(self, via: Via) -> AbstractContextManager[None]:
        # the process that makes the answer knows nothing of this reader
        return nullcontext()

    def deltas(self, heartbeat: float | None = None) -> Iterator[str]:
        # the row holds no pieces: the whole answer is the first and only one
        while (reply := self.wait(heartbeat)) is None:
            yield ""
        # an apology is no piece of an answer
        if reply.text and reply.error is None:
            self.streamed = reply.text
            yield reply.text

    def wait(self, timeout: float | None, via: Via | None = None) -> Reply | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if (reply := self._look()) is not None:
                return reply
            left = POLL_SECONDS if deadline is None else min(POLL_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return None
            time.sleep(left)
