"""Turns: one message of a dialogue after the other.

Coze runs one chat per conversation at a time, and answers should come in the order of the questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from handler.message import Reply
from handler.run import POLL_SECONDS
from handler.work import AWAY_SECONDS, Work
from storage.db import patiently
from storage.exchanges import Exchanges
from texts import Texts

QUEUE = 5
"""Messages of one dialogue that may wait behind the one being answered; the next is told so at once."""
TURN_TIMEOUT = 300.0
"""Seconds a message waits for the earlier ones of its dialogue before it is apologized for."""


class Turns:
    """Who is next. `resting` tells that the bot gives no answers now, so that nobody need wait for them."""

    def __init__(self, exchanges: Exchanges, texts: Texts, resting: Callable[[], bool]) -> None:
        self.exchanges = exchanges
        self.texts = texts
        self.resting = resting

    def wait(self, work: Work) -> Reply | None:
        """Returns when the earlier messages of the dialogue have answers; a reply if that takes too long."""
        if work.is_next:
            return None
        ahead = self._ahead(work)
        if ahead > QUEUE:
            return Reply(self.texts.busy, "system", error="queue_full")
        deadline = time.monotonic() + TURN_TIMEOUT
        # while Coze rests the answer is known already, and nothing is asked that could get ahead
        while ahead and not self.resting():
            if time.monotonic() >= deadline:
                return Reply(self.texts.busy, "system", error="turn_timeout")
            time.sleep(POLL_SECONDS)
            ahead = self._ahead(work)
        return None

    def _ahead(self, work: Work) -> int:
        # a database that blinks while a message waits, perhaps for minutes, must not cost it its answer
        return patiently(lambda: self.exchanges.ahead(work.exchange), AWAY_SECONDS)
