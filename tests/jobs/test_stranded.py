"""An answer whose requests all died before one could promise it is brought all the same."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from sqlalchemy import update

from handler.message import InboundMessage, LateReply, Reply, Via
from jobs.tasks import BRING_MS, Stranded
from storage.db import Database, now_ms
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.jobs import Jobs
from storage.models import Exchange

MESSAGE = InboundMessage("wechat", "service", "oUser", "1", "问题", request_id="trace")


@dataclass
class Platform:
    """A platform that may push for these accounts."""

    accounts: Collection[str]
    name: ClassVar[str] = "wechat"
    brings: ClassVar[Literal["push", "callback"]] = "push"
    listens: float = 17.0

    def pushing(self) -> Collection[str]:
        return self.accounts

    def push(self, late: LateReply, sending: Callable[[], None]) -> Via:
        raise AssertionError("nothing is sent here")


@pytest.fixture
def exchange(db: Database) -> Exchange:
    """An answer nobody was given, of a message whose last delivery is over."""
    exchange = Exchanges(db).claim(MESSAGE, "me", 60_000).exchange
    assert Exchanges(db).answer(exchange.id, "me", Reply("答案", "coze"), Timing(None, 1))
    moved(db, created_ms=now_ms() - 17_001)
    return exchange


def moved(db: Database, **moments: int) -> None:
    with db.write() as session:
        session.execute(update(Exchange).values(**moments))


def look(db: Database, *accounts: str) -> int:
    return Stranded(Deliveries(db), [Platform(accounts)])()


def test_it_becomes_a_job_once(db: Database, exchange: Exchange) -> None:
    assert look(db, "service") == 1
    assert look(db, "service") == 0
    (job,) = Jobs(db).claim("runner")
    assert (job.kind, job.exchange_id) == ("push", exchange.id)


@pytest.mark.parametrize("accounts", [(), ("another",)])
def test_an_account_that_does_not_push_keeps_it_for_its_customer(
    db: Database, exchange: Exchange, accounts: tuple[str, ...]
) -> None:
    assert look(db, *accounts) == 0
    assert Deliveries(db).deliver(exchange.id, "fetch") == "fetch"


def test_a_request_that_may_still_wait_comes_first(db: Database, exchange: Exchange) -> None:
    moved(db, created_ms=now_ms())
    assert look(db, "service") == 0


def test_what_went_out_is_not_brought_again(db: Database, exchange: Exchange) -> None:
    assert Deliveries(db).deliver(exchange.id, "passive") == "passive"
    assert look(db, "service") == 0


def test_an_old_answer_surprises_nobody(db: Database, exchange: Exchange) -> None:
    moved(db, created_ms=1, answered_ms=now_ms() - BRING_MS - 1000)
    assert look(db, "service") == 0
