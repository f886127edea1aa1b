"""The circuit breaker: while Coze is down nobody waits for it, and one call at a time looks after it.

Kept per process, in memory. Calls report here; what an error says about Coze is `coze.errors`' matter.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from coze.errors import Abandoned, CozeError, Malformed, Resting

log = logging.getLogger(__name__)

FAILURES = 5
"""Failures in a row that open the breaker."""
PAUSE_SECONDS = 5.0
"""From the beginning of one probe to the next."""
PROBE_SECONDS = 8.0
"""How long a probe waits for a sign of life: everybody else is refused meanwhile, and a probe that hangs must
not keep them long after Coze is back."""

State = Literal["closed", "open", "half_open"]


@dataclass(slots=True)
class Call:
    """One call that was let through; its first report counts."""

    breaker: Breaker
    era: int
    probe: bool
    reported: bool = False

    def within(self, deadline: float) -> float:
        """The deadline until Coze shows a sign of life; a probe is not given as long as others."""
        return min(deadline, self.breaker.now() + PROBE_SECONDS) if self.probe else deadline

    def taken(self) -> None:
        """Coze has the question. After a probe the others may ask, too, but one failure ends it again."""
        if self.probe and not self.reported:
            self.breaker.close(self.era, FAILURES - 1)

    def spoke(self) -> None:
        """Words of an answer came: Coze works, however this call ends."""
        if not self.reported:
            self.reported = True
            self.breaker.close(self.era)

    def failed(self, error: CozeError) -> None:
        """The call ended like this. A refusal that is no outage shows that Coze is there."""
        if error.outage and not self.reported:
            self.reported = True
            self.breaker.fail(self.era, error.name)
        elif not isinstance(error, Abandoned | Malformed):
            # neither a customer who left nor somebody else's page says anything about Coze
            self.spoke()


class Breaker:
    """Opens after `FAILURES` in a row; then lets one probe through every `pause` seconds until one succeeds.

    `now` is a monotonic clock. Threads share it.
    """

    def __init__(
        self,
        pause: float = PAUSE_SECONDS,
        now: Callable[[], float] = time.monotonic,
        name: str = "coze",
    ) -> None:
        self.pause = pause
        self.name = name
        self.state: State = "closed"
        self.now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._next_probe = 0.0
        # grows whenever the breaker opens: calls begun before know nothing of what came after
        self._era = 0

    @property
    def resting(self) -> bool:
        """Whether a call would be refused now."""
        return self.state == "half_open" or (self.state == "open" and self.now() < self._next_probe)

    @contextmanager
    def call(self) -> Iterator[Call]:
        """Stands around one call: raises `Resting` instead of letting it through, and sees how it ends."""
        call = self._enter()
        try:
            yield call
            call.spoke()
        except CozeError as error:
            call.failed(error)
            raise
        finally:
            self._leave(call)

    def close(self, era: int, failures: int = 0) -> None:
        """Lets calls through, after `failures` in a row."""
        with self._lock:
            if era == self._era:
                self._failures = failures
                self._turn("closed")

    def fail(self, era: int, cause: str) -> None:
        """Counts one failure."""
        with self._lock:
            if era != self._era:
                return
            self._failures += 1
            if self._failures >= FAILURES:
                self._era += 1
                # a probe that failed has set the time of the next one when it began
                if self.state == "closed":
                    self._next_probe = self.now() + self.pause
                self._turn("open", cause)

    def _enter(self) -> Call:
        with self._lock:
            if self.resting:
                raise Resting("after failures in a row, until a probe succeeds")
            if self.state == "open":
                self._next_probe = self.now() + self.pause
                self._turn("half_open")
            return Call(self, self._era, probe=self.state == "half_open")

    def _leave(self, call: Call) -> None:
        with self._lock:
            if call.era == self._era and self.state == "half_open":
                self._turn("open")

    def _turn(self, state: State, cause: str = "") -> None:
        if state != self.state:
            self.state = state
            level = logging.INFO if state == "half_open" else logging.WARNING
            log.log(level, f"{self.name} breaker", extra={"state": state, "cause": cause})
