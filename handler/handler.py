"""The handler: one message in, one run out, whatever the platform.

Claim before work: the first thing that happens to a message is an insert under a unique key. Whoever wins
makes the answer in a background thread; every other delivery of the same message joins that run, in memory
within this process and through the exchange's row from another. A run whose process dies is taken over by
whoever notices first: a waiting reader, or the rescue that every runner makes.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Literal, TypeVar, cast

from crew import Crew
from errors import Unavailable
from handler.backlog import Backlog
from handler.message import InboundMessage, Kind, Media, Reply, Via
from handler.naming import Naming
from handler.pulse import Pulse
from handler.run import FollowedRun, Follows, Looks, Progress, Run
from handler.work import Responder, Work
from storage.db import now_ms, promptly
from storage.deliveries import Deliveries
from storage.exchange_rows import earlier_of, parameters_of, reply_of
from storage.exchanges import Exchanges
from storage.leases import Lease, Leases
from storage.models import Exchange
from storage.patience import within
from storage.standing import Standing
from texts import Texts

T = TypeVar("T")

log = logging.getLogger(__name__)

REQUEST_SECONDS = 1.0
"""What one step of a request may wait for the database: the platform's own patience is short."""
BUSY_SECONDS = 2.5
"""The same for a database that is not away but has much to do: a real answer is worth waiting for."""
FOLLOW_SECONDS = 600.0
"""How long a process that lost its exchange waits for the reply of the one that has it: a turn and an
answer."""
IDLE_THREADS = 50
"""Threads that wait for the next message: as many as begin to be answered in a moment."""


class Handler:
    """Answers messages of every platform. One per process."""

    def __init__(
        self,
        exchanges: Exchanges,
        leases: Leases,
        deliveries: Deliveries,
        responders: Sequence[Responder],
        texts: Texts,
    ) -> None:
        self.exchanges = exchanges
        self.leases = leases
        self.deliveries = deliveries
        self.responders = responders
        self.texts = texts
        self.owner = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._running: dict[int, Work] = {}
        self._lock = threading.Lock()
        self.backlog = Backlog()
        self._looks = Looks(self._look)
        self._pulse = Pulse()
        self._naming = Naming(exchanges)
        self._crew = Crew("answer", IDLE_THREADS)
        self._keeping = False
        """Whether a thread renews the leases of what is running."""
        self._renewing = threading.Lock()
        self._closed = False

    def answer(self, message: InboundMessage, *, backlog: bool = False) -> Follows:
        """Claims the message and starts its run, or joins the run that exists. Returns at once.

        Answers of the `backlog` are made a few at a time. Raises `Unavailable` when the database does not
        answer.
        """
        claim = _promptly(lambda: self.exchanges.claim(message, self.owner, self.leases.lease_ms))
        exchange = claim.exchange
        if not claim.won:
            return self._followed(exchange, claim.attempt, self._running.get(exchange.id))
        message = replace(message, session=exchange.session_key, newest=False)
        # in the backlog a message may wait for longer than what was seen at its claim holds
        work = self._start(exchange, message, backlog=backlog, standing=None if backlog else claim.standing)
        return self._followed(exchange, claim.attempt, work)

    def follow(self, platform: str, account: str, dedupe_key: str) -> Follows | None:
        """The run of a message that came before; None when there was none. Raises `Unavailable`."""
        exchange = _promptly(lambda: self.exchanges.find(platform, account, dedupe_key))
        if exchange is None:
            return None
        return self._followed(exchange, exchange.attempts, self._running.get(exchange.id))

    def deliver(self, run: Follows, via: Via) -> Via | None:
        """Records that the answer goes out this way; returns the way that has it."""
        if run.given == via:
            return via
        try:
            return _promptly(lambda: self.deliveries.deliver(run.exchange_id, via))
        except Unavailable:
            # the answer is in our hands and its reader waits: the record is worth less than the answer
            log.exception("a delivery was not recorded", extra={"exchange": run.exchange_id})
            return via

    def promise(self, run: Follows, via: Literal["push", "callback"]) -> bool:
        """Has the answer brought later; False when it already went out. Raises `Unavailable`."""
        return _promptly(lambda: self.deliveries.promise(run.exchange_id, via))

    def rescue(self) -> int:
        """Takes over what dead processes left, and finishes it; returns how many exchanges that is."""
        return sum(self._take_over(lease) for lease in self.leases.suspects())

    def close(self, patience: float = 0.0) -> None:
        """Waits up to `patience` seconds for running answers, then lets other processes have the rest."""
        deadline = time.monotonic() + patience
        while self._running and time.monotonic() < deadline:
            time.sleep(0.05)
        with self._renewing:
            # no renewal may follow: it would take back what is given away
            self._closed = True
            for work in [*self._running.values()]:
                work.sure_until = 0.0
            try:
                self.leases.hand_over(self.owner)
            except Unavailable:
                log.warning("leases could not be handed over; they run out by themselves", exc_info=True)

    @property
    def running(self) -> int:
        """Answers being made in this process right now."""
        return len(self._running)

    def _followed(self, exchange: Exchange, attempt: int, work: Work | None) -> Follows:
        """A reader of the exchange, which is answered by `work` here, or by another process."""
        known = exchange.id, exchange.trace_id, attempt
        if work is not None:
            alone = attempt == 1 and work.standing is not None and work.standing.alone
            return Run(*known, work.progress, exchange.session_key, alone)
        return FollowedRun(*known, lambda: self._looks.at(exchange.id), exchange.session_key)

    def _look(self, exchange_id: int) -> Reply | None:
        """The stored reply, for a reader in this process of a run in another; takes over from a dead one."""
        try:
            with within(REQUEST_SECONDS):
                exchange = self.exchanges.get(exchange_id)
            if exchange is None:
                return Reply(self.texts.apology, "system", error="erased")
            if (reply := reply_of(exchange)) is None:
                self._take_over(Lease.of(exchange))
            return reply
        except Unavailable:
            # the reader has its own patience, and the next look may succeed
            return None

    def _take_over(self, lease: Lease) -> bool:
        if self._closed:
            return False
        running = self._running.get(lease.exchange_id)
        if running is not None and lease.owner == self.owner:
            # only late with its renewal: a second run beside it would ask Coze twice
            return False
        if running is not None and not running.lost:
            # looked at once more: the lease that we were shown may be older than this run
            now = self.exchanges.get(lease.exchange_id)
            running.lost = now is not None and now.owner not in (None, self.owner)
            # what it records in this moment must not find us as the owner again: the next try takes it
            return False
        exchange = self.leases.take_over(lease, self.owner)
        if exchange is None:
            return False
        log.warning("taking over from a dead process", extra={"exchange": exchange.id, "from": lease.owner})
        age = max(0, now_ms() - exchange.created_ms) / 1000
        self._start(exchange, message_of(exchange), age, taken_over=True)
        return True

    def _start(
        self,
        exchange: Exchange,
        message: InboundMessage,
        age: float = 0.0,
        *,
        taken_over: bool = False,
        backlog: bool = False,
        standing: Standing | None = None,
    ) -> Work:
        """Begins the run of an exchange claimed `age` seconds ago."""
        work = Work(
            message,
            exchange,
            self.owner,
            self.exchanges,
            self._naming,
            Progress(self._pulse),
            started=time.monotonic() - age,
            standing=standing,
            uncalled=0 if taken_over else exchange.coze_calls,
            # a renewal has not even been due by then
            sure_until=time.monotonic() - age + self.leases.renew_seconds,
        )
        with self._lock:
            # a process that was stopped right after its claim may have taken over from itself
            if (running := self._running.get(exchange.id)) is not None and not running.lost:
                return running
            self._running[exchange.id] = work
        try:
            self._keep_leases()
            # the copied context carries the request id into the answer's log lines
            turn = self.backlog if backlog else nullcontext()
            self._crew.begin(partial(copy_context().run, self._produce, work, turn))
        except RuntimeError as problem:
            # no thread can be had: the lease runs out, and whoever has room takes the exchange over
            self._ended(work)
            raise Unavailable("too much is going on at once") from problem
        return work

    def _produce(self, work: Work, turn: AbstractContextManager[object]) -> None:
        reply = apology = Reply(self.texts.apology, "system", error="internal")
        try:
            try:
                with turn:
                    shown = work.finish(self._first_reply(work))
            except Unavailable:
                # the database went away before there was an answer: the lease runs out, and once it is back
                # the exchange is taken up again
                shown = None
            finally:
                self._ended(work)
            if shown is None:
                log.warning("another run has this exchange", extra={"exchange": work.exchange.id})
                shown = self._theirs(work)
            reply = shown or apology
        finally:
            # whatever happened: nobody waits for ever
            work.progress.finish(reply)
        log.info(
            "answered",
            extra={
                "exchange": work.exchange.id,
                "platform": work.message.platform,
                "source": reply.source,
                "error": reply.error,
                "logid": work.logid,
                "total_ms": work.elapsed_ms(),
            },
        )

    def _first_reply(self, work: Work) -> Reply:
        try:
            for responder in self.responders:
                if (reply := responder.respond(work)) is not None:
                    return reply
        except Unavailable:
            raise
        except Exception:
            log.exception("no responder could answer", extra={"exchange": work.exchange.id})
            return Reply(self.texts.apology, "system", error="internal")
        return Reply(self.texts.no_answer, "system", error="nobody_answered")

    def _theirs(self, work: Work) -> Reply | None:
        """The reply of the process that took the exchange over; ours again should that one die, too."""
        number = work.exchange.id
        # a process that leaves has no reader any more
        apology = Reply(self.texts.apology, "system", error="internal")
        followed = FollowedRun(
            number, work.exchange.trace_id, 1, lambda: apology if self._closed else self._looks.at(number)
        )
        return followed.wait(FOLLOW_SECONDS)

    def _ended(self, work: Work) -> None:
        with self._lock:
            if self._running.get(work.exchange.id) is work:
                del self._running[work.exchange.id]

    def _keep_leases(self) -> None:
        with self._lock:
            begin, self._keeping = not self._keeping, True
        if not begin:
            return
        try:
            threading.Thread(target=self._renew_leases, name="leases", daemon=True).start()
        except RuntimeError:
            self._keeping = False
            raise

    def _renew_leases(self) -> None:
        while True:
            time.sleep(self.leases.renew_seconds)
            with self._lock:
                self._keeping = bool(self._running) and not self._closed
                if not self._keeping:
                    return
                mine = list(self._running)
            try:
                with self._renewing:
                    if not self._closed:
                        # by name: a claim whose run never began must run out
                        self.leases.renew(self.owner, mine)
            except Exception:
                log.exception("leases could not be renewed")


def _promptly(step: Callable[[], T]) -> T:
    return promptly(step, REQUEST_SECONDS, BUSY_SECONDS)


def message_of(exchange: Exchange) -> InboundMessage:
    """The message as its row tells it, for a process that never saw the request."""
    return InboundMessage(
        platform=exchange.platform,
        account=exchange.account,
        user=exchange.user_id,
        session=exchange.session_key,
        dedupe_key="",
        text=exchange.question,
        kind=cast("Kind", exchange.kind),
        media=tuple(Media(**each) for each in exchange.media or ()),
        parameters=parameters_of(exchange),
        raw=exchange.raw,
        request_id=exchange.trace_id,
        earlier=earlier_of(exchange),
    )
