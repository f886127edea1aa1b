"""How an answer that may take longer than five seconds meets a platform that waits five.

WeChat cuts a delivery 5 s after it began and sends the same message again, three times in all; a complete
answer to any of them is shown. `Hold` uses all three, or with a promise only the first. A strategy decides
only when to write and what that counts for; what is written is the adapter's matter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from handler.message import Reply, Via
from handler.run import Follows
from settings.accounts import WeChatAccount

Strategy = Literal["push", "hold", "placeholder"]


def strategy_of(account: WeChatAccount) -> Strategy:
    """What the account's settings say, or what its kind allows."""
    return account.strategy or ("push" if account.kind == "verified" else "hold")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds after a delivery was received, and how many deliveries there are."""

    answer_within: float = 4.5
    """The last moment at which an answer still reaches WeChat: its 5 s began before ours and end after the
    way back."""
    again_within: float = 0.5
    """The same for a repeated delivery that can be promised: the process of an earlier one died, and if the
    last one's dies as well the customer sees the failure notice."""
    hold_until: float = 5.6
    """By now WeChat has hung up for certain, and will deliver again."""
    deliveries: int = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to write: the reply, the placeholder when there is none yet, or a bare acknowledgement."""

    reply: Reply | None
    in_time: bool = False
    """Whether WeChat still listens, so that the reply counts as delivered."""
    promised: bool = False
    """Another way has the answer: WeChat need not ask again, and the customer must not read it twice."""


class Hold:
    """Waits through the deliveries; at most `places` requests wait at once in this process.

    An answer that comes between `answer_within` and `hold_until` is not written: whether it was received
    nobody could tell, and the customer might read it twice or never. The next delivery gets it at once.
    """

    def __init__(self, timing: Timing, places: int) -> None:
        self.timing = timing
        self._lock = threading.Lock()
        self.free = places
        """Requests that may wait besides those that do."""

    def follow(
        self,
        run: Follows,
        received: float,
        patience: int | None = None,
        promise: Callable[[], bool] | None = None,
        gone: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Waits for the run's reply on behalf of a delivery received at `received` (`time.monotonic()`).

        From delivery number `patience` on (default: the last) nobody is left waiting without an answer.
        `promise` hands the answer to another way when this delivery's time is up; while it returns False
        the delivery is held as if there were none. `gone` tells that WeChat has hung up before its time was
        up by our count: this delivery waited for a free process.
        """
        # should this delivery be cut, WeChat makes another: the answer may count as given when it is recorded
        way: Via | None = "passive" if run.attempt < self.timing.deliveries else None
        hurried = promise is not None and run.attempt > 1
        due = received + (self.timing.again_within if hurried else self.timing.answer_within)
        if (reply := run.wait(0)) is not None and time.monotonic() <= due and not gone():
            return Outcome(reply, in_time=True)
        if not self._takes_a_place():
            # a held request is a thread or a connection: better an honest placeholder than none left
            return Outcome(reply, promised=promise is not None and promise())
        try:
            if reply is None and (reply := run.wait(_until(due), way)) is not None and not gone():
                return Outcome(reply, in_time=True)
            if promise is not None:
                if promise():
                    return Outcome(None, promised=True)
                # nothing may be promised that has just gone out: then it is there to be repeated
                reply = run.wait(0)
            if run.attempt < (patience or self.timing.deliveries):
                time.sleep(_until(received + self.timing.hold_until))
                reply = run.wait(0)
            return Outcome(reply)
        finally:
            with self._lock:
                self.free += 1

    def _takes_a_place(self) -> bool:
        # no semaphore: to give a place back it tries a lock that it holds, which under gevent is a turn of
        # everybody else
        with self._lock:
            if self.free <= 0:
                return False
            self.free -= 1
            return True


def _until(moment: float) -> float:
    return max(0.0, moment - time.monotonic())
