"""继续: the one word with which a customer asks for what has not been shown yet."""

from __future__ import annotations

import time
from collections.abc import Collection

from handler.commands import is_command
from handler.message import Doc, Reply, Source
from handler.run import POLL_SECONDS
from handler.work import Work
from storage.db import now_ms
from storage.deliveries import Deliveries
from storage.exchange_rows import FINAL
from storage.exchanges import Exchanges
from storage.leftovers import KEPT_MS, Leftovers
from storage.models import Exchange
from texts import Texts

FETCH_WAIT = 13.0
"""Seconds that 继续 waits for an unfinished answer: within the three deliveries a message gets."""
NOT_YET = "not_yet"
"""The log's word for a 继续 that came too early."""


class Continuation:
    """Answers 继续, or another of the `words`, with the rest of the last answer, or the newest unseen one.

    Where nothing waits the word is left to the bot, which may well know how to go on.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        deliveries: Deliveries,
        leftovers: Leftovers,
        texts: Texts,
        words: Collection[str],
    ) -> None:
        self.exchanges = exchanges
        self.deliveries = deliveries
        self.leftovers = leftovers
        self.texts = texts
        self.words = words

    def respond(self, work: Work) -> Reply | None:
        if not is_command(work.message, self.words):
            return None
        if work.exchange.answer is not None:
            # the process that fetched it died before it could say it
            return _fetched(work.exchange)
        rest = self.leftovers.newest_rest(work.exchange)
        waiting = self.exchanges.waiting_before(work.exchange, now_ms() - KEPT_MS)
        if (
            rest is not None
            and (waiting is None or rest.exchange_id >= waiting.id)
            and self.leftovers.take_rest(rest.exchange_id, work.exchange.id, work.owner)
        ):
            whose = self.exchanges.get(rest.exchange_id)
            return Reply(rest.text, "agent" if whose is not None and whose.source == "agent" else "rest")
        return None if waiting is None else self._answer_of(waiting, work)

    def _answer_of(self, waiting: Exchange, work: Work) -> Reply:
        found = self._settled(waiting)
        if found is not None and found.status in FINAL:
            if self.deliveries.fetch(found.id, work.exchange.id, work.owner):
                return _fetched(found)
            found = self.exchanges.get(found.id)
        if found is None:
            return Reply(self.texts.nothing_to_continue, "command")
        if found.status in {"delivered", "undelivered"}:
            # another way was quicker: saying it twice would be wrong
            return Reply(self.texts.nothing_to_continue, "command")
        on_its_way = self.texts.still_thinking if found.later is None else self.texts.on_its_way
        return Reply(on_its_way, "command", error=NOT_YET)

    def _settled(self, waiting: Exchange) -> Exchange | None:
        """The exchange once it has an answer, or a promise to bring it; as it is when that takes too long."""
        deadline = time.monotonic() + FETCH_WAIT
        exchange: Exchange | None = waiting
        while (
            exchange is not None
            and exchange.status not in FINAL
            and exchange.later is None
            and time.monotonic() < deadline
        ):
            time.sleep(POLL_SECONDS)
            exchange = self.exchanges.get(waiting.id)
        return exchange


def _fetched(exchange: Exchange) -> Reply:
    docs = tuple(Doc(**each) for each in exchange.docs)
    # a person's words stay a person's
    source: Source = "command"
    if exchange.source in {"rest", "agent"}:
        source = "rest" if exchange.source == "rest" else "agent"
    return Reply(exchange.answer or "", source, docs=docs, suggestions=tuple(exchange.suggestions))
