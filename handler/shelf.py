"""The Q&A library at hand: this process's index of the entries, and the responder that answers from it.

The index is rebuilt when the library's number has changed, which is looked at about once a second; an entry
that somebody saves through another process answers here within two. While the database is away the index
that is there goes on answering.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from errors import Unavailable
from handler.library import Draft, Match
from handler.matching import Index, Line, lines_of
from handler.message import Reply
from handler.work import Work
from storage.db import now_ms
from storage.library import Library
from storage.patience import within

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How long the index is believed to be up to date."""
WAIT_SECONDS = 1.0
"""What a look may wait for the database: Coze can answer without the library."""
AT_ONCE = 200
"""Entries compiled before other greenlets get their turn."""


class Shelf:
    """The index, and when to build it anew. One per process; threads share it."""

    def __init__(self, library: Library, look_seconds: float = LOOK_SECONDS) -> None:
        self.library = library
        self.look_seconds = look_seconds
        self._lock = threading.Lock()
        self._lines: dict[int, tuple[Line, ...]] = {}
        self._revision = -1
        self._index = Index()
        self._looked = float("-inf")

    def best(self, question: str, platform: str, account: str) -> Match | None:
        """The entry that answers this text on this account now, or None."""
        return self.index().best(question, platform, account, now_ms())

    def matches(self, question: str, platform: str, account: str) -> list[Match]:
        """Every entry that fits, the best first; up to date with the database."""
        self._looked = float("-inf")
        return self.index().matches(question, platform, account, now_ms())

    def index(self) -> Index:
        """The newest index that can be had."""
        if time.monotonic() - self._looked < self.look_seconds:
            return self._index
        # one looks; the others answer from what is there, except at the very first
        if self._lock.acquire(blocking=self._revision < 0):
            try:
                if time.monotonic() - self._looked >= self.look_seconds:
                    self._look()
            finally:
                self._lock.release()
        return self._index

    def _look(self) -> None:
        try:
            with within(WAIT_SECONDS):
                revision = self.library.revision()
                if revision != self._revision:
                    self._rebuild(*self.library.since(self._revision))
                    self._revision = revision
        except Unavailable:
            log.warning("the library cannot be read; answering from what is known", exc_info=True)
        finally:
            # also after a failure: the next try is worth its wait only in a while
            self._looked = time.monotonic()

    def _rebuild(self, fresh: dict[int, Draft], ids: set[int]) -> None:
        began = time.monotonic()
        # the old lines stay in use meanwhile
        lines = {number: each for number, each in self._lines.items() if number in ids}
        for count, (number, draft) in enumerate(fresh.items(), 1):
            lines[number] = lines_of(number, draft)
            if count % AT_ONCE == 0:
                time.sleep(0)
        self._index = Index(line for each in lines.values() for line in each)
        self._lines = lines
        log.info(
            "the library was read",
            extra={
                "entries": self._index.size,
                "changed": len(fresh),
                "ms": round((time.monotonic() - began) * 1000),
            },
        )


class LibraryResponder:
    """Answers what an entry fits, at once: neither Coze nor a turn in the dialogue is waited for."""

    def __init__(self, shelf: Shelf, question: Callable[[Work], str]) -> None:
        self.shelf = shelf
        self.question = question

    def respond(self, work: Work) -> Reply | None:
        message, exchange = work.message, work.exchange
        # a question that Coze has already is Coze's to answer; descriptions of pictures are no questions
        if exchange.chat_id or exchange.coze_calls > 1 or message.kind not in ("text", "voice"):
            return None
        match = self.shelf.best(self.question(work), message.platform, message.account)
        if match is None:
            return None
        log.info("the library answers", extra={"exchange": exchange.id, "entry": match.entry_id})
        return Reply(match.answer, "library", library_id=match.entry_id)
