"""Trying again: how often, after how long, and never past the deadline.

What an error is worth is said by the error (`retries`, `retry_after`); here it is only counted and timed.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from coze.errors import CozeError, Disconnected, Policy, TimedOut, Truncated

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 4.0
"""Seconds; doubled from the first to the longest. A busy conversation is free again within seconds."""


def seconds_left(deadline: float | None) -> float:
    """Seconds until `deadline` (`time.monotonic()`), never negative; infinite without one."""
    return float("inf") if deadline is None else max(0.0, deadline - time.monotonic())


READING = (TimedOut, Disconnected, Truncated)
"""Failures after which a call that only reads may simply be made again."""


class Retries:
    """The tries of one call, until `deadline` (`time.monotonic()`).

    `repeatable` are failures that leave open whether the call has run, and after which it is made once
    more all the same.
    """

    def __init__(self, deadline: float | None, repeatable: tuple[type[CozeError], ...] = ()) -> None:
        self.deadline = deadline
        self.repeatable = repeatable
        self._seen: Counter[str] = Counter()

    def pause(self, error: CozeError) -> float | None:
        """Seconds to wait before the next try; None when there must be none.

        The wait is at least what Coze asked for, else doubles from try to try, and is spread by chance so
        that many callers do not come back at the same moment.
        """
        seen = self._seen[error.name]
        self._seen[error.name] += 1
        allowed = max(error.retries, 1) if isinstance(error, self.repeatable) else error.retries
        if seen >= allowed:
            return None
        if error.policy is Policy.REFRESH:
            return 0.0
        wait = min(FIRST_PAUSE * 2 ** min(seen, 10), LONGEST_PAUSE) * random.uniform(0.7, 1.0)  # noqa: S311
        if error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return wait if wait < seconds_left(self.deadline) else None

    def wait(self, error: CozeError) -> None:
        """Sleeps before the next try, or raises `error` when there must be none."""
        pause = self.pause(error)
        if pause is None:
            raise error
        time.sleep(pause)
