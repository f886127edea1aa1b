"""One exchange being answered: what a responder sees of it and may do to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from errors import Unavailable
from handler.message import MANUAL, InboundMessage, Reply, Via
from handler.naming import Naming
from handler.run import Progress
from storage.db import patiently
from storage.exchange_rows import NAMELESS, Names, Note, Outcome, Timing
from storage.exchanges import Exchanges
from storage.models import Exchange
from storage.standing import Standing

log = logging.getLogger(__name__)

COZE_CALLS = 4
"""How often one message may be put to Coze, whatever dies on the way: each time costs, and may act."""
AWAY_SECONDS = 30.0
"""How long an answer waits for a database that is away: no call goes out uncounted, and an answer that nobody
logged may be given twice. One that never comes is worse."""


class Responder(Protocol):
    """Somebody who may answer; the handler asks them in order until one does."""

    def respond(self, work: Work) -> Reply | None:
        """The reply, or None to leave the message to the next responder. May take its time."""
        ...


@dataclass(slots=True)
class Work:
    """The claimed exchange in the hands of this process. Also the `Sink` that coze.bot reports to."""

    message: InboundMessage
    exchange: Exchange
    owner: str
    exchanges: Exchanges
    naming: Naming
    progress: Progress
    started: float
    """`time.monotonic()` at the claim; in the past when the exchange was taken over."""
    first_delta_ms: int | None = None
    lost: bool = False
    """Another process had the exchange in between: this run may change it no more, nor if it comes back."""
    silenced: Callable[[], bool] = lambda: False
    """Whether a person has taken the dialogue meanwhile: then no further piece is shown."""
    instead: Callable[[Work, Reply], Reply] | None = None
    """What is said instead of a reply when a person took the dialogue before it could be recorded."""
    logid: str = ""
    """Coze's name for the request that answers, for questions to its makers."""
    standing: Standing | None = None
    """Where the dialogue stood at the claim, if that told, or at the last `look`."""
    uncalled: int = 0
    """Calls to Coze that the claim has counted and that are not made yet."""
    sure_until: float = 0.0
    """`time.monotonic()` until which nobody can have taken the exchange over."""
    names: Names = NAMELESS
    """What Coze calls the chat."""

    @property
    def standing_now(self) -> Standing:
        """Where the dialogue stood when its message was claimed, or else where it stands now."""
        return self.standing or self.look()

    def look(self) -> Standing:
        """Where the dialogue stands now; waits for a database that is away."""
        self.standing = patiently(partial(self.exchanges.standing, self.exchange), AWAY_SECONDS)
        return self.standing

    @property
    def is_next(self) -> bool:
        """Whether no earlier message of the dialogue waited at the last look: then none will."""
        return self.standing is not None and self.standing.dialogue is not None and not self.standing.ahead

    @property
    def may_ask(self) -> bool:
        """Whether this message may be put to Coze once more."""
        return self.exchange.coze_calls < COZE_CALLS

    def calling(self) -> bool:
        """Counts one call to Coze before it is made; False when there may be none: lost, or too many."""
        if self.lost or not (self.uncalled or self.may_ask):
            return False
        calls = 1 - self.uncalled
        if calls or time.monotonic() >= self.sure_until:
            count = partial(self.exchanges.call_begins, self.exchange.id, self.owner, calls)
            if not patiently(count, AWAY_SECONDS):
                return False
        self.exchange.coze_calls += calls
        self.uncalled = 0
        return True

    def refused(self) -> None:
        """Takes the last call back: the conversation was busy, so Coze has not got the question."""
        self._note(partial(self.exchanges.call_refused, self.exchange.id, self.owner))
        self.exchange.coze_calls -= 1

    def named(self, conversation_id: str, chat_id: str, logid: str, owner: str | None) -> None:
        """Keeps Coze's ids in the row, and the conversation in its dialogue's, soon after they are known."""
        self.logid = logid
        self.names = Names(conversation_id or None, chat_id or None, logid or None, owner)
        if not self.lost:
            self.naming.keep(Note(self.exchange.id, self.owner, 0, *self.names))

    def resolved(self, message: InboundMessage) -> None:
        """Goes on with the message as its platform has resolved it, and keeps that in the row."""
        self.message = message
        understood = self.exchanges.understood
        self._note(partial(understood, self.exchange.id, self.owner, message.text, message.media))

    def delta(self, text: str) -> None:
        """Hands the next piece to every reader."""
        if text and self.first_delta_ms is None:
            self.first_delta_ms = self.elapsed_ms()
        if not self.silenced():
            self.progress.emit(text)

    def followed(self) -> bool:
        """Whether there is or was a reader for the pieces."""
        return self.progress.followed

    def elapsed_ms(self) -> int:
        """Milliseconds since the claim, as far as the column reaches."""
        return min(round((time.monotonic() - self.started) * 1000), 2**31 - 1)

    def _note(self, record: Callable[[], object]) -> None:
        """Records what would only help a successor: no reason to break off an answer that is under way."""
        try:
            if not self.lost:
                record()
        except Unavailable:
            log.warning("the database is away", extra={"exchange": self.exchange.id}, exc_info=True)

    def finish(self, reply: Reply) -> Reply | None:
        """Writes the reply, then shows it: nobody may see an answer that is not yet in the log.

        Returns what was shown. None, and nothing shown, when another process has the exchange: its reply
        counts.
        """
        if self.lost:
            return None
        # a reader who waits gives an answer to the customer at once, an apology not always
        via = None if reply.error is not None or reply.source in MANUAL else self.progress.begin_recording()
        reply, outcome = self._recorded(reply, via)
        if outcome == "owned" and self.instead is not None:
            instead, self.instead = self.instead, None
            return self.finish(instead(self, reply))
        if outcome == "":
            return None
        self.progress.finish(reply, via if outcome == "delivered" else None)
        return reply

    def _recorded(self, reply: Reply, via: Via | None) -> tuple[Reply, Outcome | None]:
        """The reply as it could be stored, and what became of it; None when it could not be stored at all."""
        timing = Timing(self.first_delta_ms, self.elapsed_ms())
        guarded = self.instead is not None
        self.naming.drop(self.exchange.id)
        # what cannot be stored is most likely an ornament: the customer needs the words
        for each in (reply, Reply(reply.text, reply.source, error=reply.error)):
            record = partial(
                self.exchanges.answer,
                *(self.exchange.id, self.owner, each, timing, via),
                unless_owned=guarded,
                uncalled=self.uncalled,
                names=self.names,
            )
            try:
                return each, patiently(record, AWAY_SECONDS)
            except Unavailable:
                log.exception("the answer is shown and not recorded", extra={"exchange": self.exchange.id})
                break
            except Exception:
                log.exception("this answer cannot be stored", extra={"exchange": self.exchange.id})
        return reply, None
