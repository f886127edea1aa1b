"""Quick messages of one customer as one question, for people who write a thought in three bubbles.

A message waits a moment. When another of the same dialogue follows within it, the first is left without words
of its own and the later one asks for both; the last of the row gets the answer. Off unless a time is set.
"""

from __future__ import annotations

import time

from handler.message import Reply
from handler.run import POLL_SECONDS
from handler.work import AWAY_SECONDS, Work
from storage.db import patiently
from storage.exchanges import Exchanges


class Merging:
    """Leaves a text message to the one that follows it within `seconds`; 0 leaves every message alone."""

    def __init__(self, exchanges: Exchanges, seconds: float) -> None:
        self.exchanges = exchanges
        self.seconds = seconds

    def question(self, work: Work) -> str:
        """What the message asks, together with the messages that were left to it."""
        if not self.seconds:
            return work.message.text
        # a database that blinks must not cost the customer half of the question
        earlier = patiently(lambda: self.exchanges.merged_into(work.exchange), AWAY_SECONDS)
        return "\n".join((*earlier, work.message.text))

    def respond(self, work: Work) -> Reply | None:
        exchange = work.exchange
        # one that Coze knows already has its own question; so has everything that is more than words
        if not self.seconds or exchange.chat_id or exchange.kind != "text":
            return None
        deadline = work.started + self.seconds
        within_ms = round(self.seconds * 1000)
        while True:
            if patiently(lambda: self.exchanges.is_followed(exchange, within_ms), AWAY_SECONDS):
                return Reply("", "merged")
            if (left := deadline - time.monotonic()) <= 0:
                return None
            time.sleep(min(POLL_SECONDS, left))
