"""What the jobs of each kind do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar, Literal, Protocol

from errors import Behind, Unavailable, Undeliverable
from handler.message import LateReply, Notice, Via
from storage import notices
from storage.db import now_ms
from storage.deliveries import Deliveries
from storage.exchange_rows import WITHHELD
from storage.models import Job

log = logging.getLogger(__name__)

BRING_MS = 10 * 60 * 1000
"""How long after its making an answer is still worth bringing to a customer who was told nothing."""

SELDOM_SECONDS = 3600.0
BOT = frozenset({"coze", "fallback", "library"})


class Pushes(Protocol):
    """What is needed of a platform to bring late answers and notices."""

    name: ClassVar[str]
    brings: ClassVar[Literal["push", "callback"]]
    listens: float
    """Seconds after which no request of a message waits any more."""

    def pushing(self) -> Collection[str]: ...

    def push(self, late: LateReply, sending: Callable[[], None]) -> Via: ...

    def notify(self, notice: Notice, sending: Callable[[], None]) -> str: ...


class Desk(Protocol):
    """What has to be known of the support desk before anything is brought."""

    def is_behind(self, exchange_id: int) -> bool:
        """Whether an agent said something before this that is still on its way."""
        ...

    def held_up(self, exchange_id: int) -> str:
        """Why an agent's line before this waits for the customer's next message; empty when none does."""
        ...

    def withholds(self, exchange_id: int) -> bool:
        """Whether a person has the dialogue: then the bot's answer is shown to them and not sent."""
        ...


class LateAnswers:
    """Brings answers that missed their request to the platform they were asked on; the runner records it."""

    def __init__(self, deliveries: Deliveries, platforms: Sequence[Pushes], desk: Desk) -> None:
        self.deliveries = deliveries
        self.platforms = platforms
        self.desk = desk

    def __call__(self, job: Job, sending: Callable[[], None]) -> None:
        if job.exchange_id is None or (late := self.deliveries.late(job.exchange_id)) is None:
            return  # delivered or given up in the meantime
        if late.reply.source == "agent" and self.desk.is_behind(late.exchange_id):
            raise Behind("an earlier line of the agent's goes first")
        if late.reply.source == "agent" and (why := self.desk.held_up(late.exchange_id)):
            raise Undeliverable(why)  # it would come before what was said before it
        if late.reply.source in BOT and self.desk.withholds(late.exchange_id):
            raise Undeliverable(WITHHELD)
        platform = next((each for each in self.platforms if each.name == late.platform), None)
        if platform is None:
            raise Undeliverable(f"the platform {late.platform} is not configured")
        platform.push(late, sending)


class NoticesOut:
    """Has each notice sent by its platform."""

    def __init__(self, notices: notices.Notices, platforms: Sequence[Pushes]) -> None:
        self.notices = notices
        self.platforms = platforms

    def __call__(self, job: Job, sending: Callable[[], None]) -> None:
        notice = notices.of(job)
        platform = next((each for each in self.platforms if each.name == notice.platform), None)
        if platform is None:
            raise Undeliverable(f"the platform {notice.platform} is not configured")
        if message_id := platform.notify(notice, sending):
            try:
                self.notices.sent(job, message_id)
            except Unavailable:
                # it is sent all the same: the job must not end in doubt for the sake of a number
                log.warning("a notice's number was not kept", extra={"job": job.id})


class Stranded:
    """Promises the answers whose requests all died before one of them could: nobody else would bring them."""

    def __init__(self, deliveries: Deliveries, platforms: Sequence[Pushes]) -> None:
        self.deliveries = deliveries
        self.platforms = platforms

    def __call__(self) -> int:
        """One look; returns how many answers were promised."""
        now = now_ms()
        return sum(
            self.deliveries.promise(exchange_id, platform.brings)
            for platform in self.platforms
            if (accounts := platform.pushing())
            for exchange_id in self.deliveries.stranded(
                platform.name, accounts, now - round(platform.listens * 1000), now - BRING_MS
            )
        )


class EverySoOften:
    """A chore that need not be done each time the runner comes round, but every so many seconds."""

    def __init__(self, chore: Callable[[], object], seconds: float) -> None:
        self.chore = chore
        self.seconds = seconds
        self._next = float("-inf")

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self.seconds
            self.chore()
