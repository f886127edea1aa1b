"""A late answer finds its platform, and the exchange tells how that ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from errors import Undeliverable
from handler.message import InboundMessage, LateReply, Reply, Via
from jobs.runner import Runner
from jobs.tasks import LateAnswers
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.jobs import Jobs


class Platform:
    """Takes what is pushed, or refuses it."""

    name: ClassVar[str] = "wechat"

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.got: list[LateReply] = []

    def push(self, late: LateReply, sending: Callable[[], None]) -> Via:
        sending()
        self.got.append(late)
        if self.refusal is not None:
            raise self.refusal
        return "push"


class Desk:
    """Nobody is there."""

    def is_behind(self, exchange_id: int) -> bool:
        return False

    def held_up(self, exchange_id: int) -> str:
        return ""

    def withholds(self, exchange_id: int) -> bool:
        return False


class Taken(Desk):
    """A person has every dialogue."""

    def withholds(self, exchange_id: int) -> bool:
        return True


@pytest.fixture
def late(db: Database) -> int:
    """An exchange whose answer waits for a job."""
    message = InboundMessage("wechat", "default", "u", "1", "你好", request_id="trace")
    number = Exchanges(db).claim(message, "owner", 60_000).exchange.id
    Deliveries(db).promise(number, "push")
    Exchanges(db).answer(number, "owner", Reply("到了", "coze"), Timing(None, 1))
    return number


def run(db: Database, *platforms: Platform, desk: Desk | None = None) -> None:
    task = LateAnswers(Deliveries(db), platforms, desk or Desk())
    runner = Runner(Jobs(db), {"push": task}, (), "me")
    for job in runner.jobs.claim("me"):
        runner.do(job)


def outcome(db: Database, number: int) -> tuple[str, str | None, str | None]:
    row = Exchanges(db).get(number)
    assert row is not None
    return row.status, row.delivery, row.delivery_error


def test_an_answer_that_a_person_was_quicker_than_is_not_pushed(db: Database, late: int) -> None:
    platform = Platform()
    run(db, platform, desk=Taken())
    assert platform.got == []
    assert outcome(db, late) == ("undelivered", None, "withheld")


def test_a_pushed_answer_is_delivered(db: Database, late: int) -> None:
    platform = Platform()
    run(db, platform)
    assert [(each.exchange_id, each.reply.text) for each in platform.got] == [(late, "到了")]
    assert outcome(db, late) == ("delivered", "push", None)


def test_a_refused_answer_is_shown_as_undelivered_with_the_reason(db: Database, late: int) -> None:
    run(db, Platform(Undeliverable("quota")))
    assert outcome(db, late) == ("undelivered", None, "quota")


def test_an_answer_whose_fate_is_unknown_is_in_doubt(db: Database, late: int) -> None:
    run(db, Platform(ConnectionResetError()))
    assert outcome(db, late) == ("undelivered", None, "in_doubt")
    assert Jobs(db).stats() == {("push", "in_doubt"): 1}


def test_an_answer_of_a_platform_that_is_gone_is_undelivered(db: Database, late: int) -> None:
    run(db)
    status, _, reason = outcome(db, late)
    assert status == "undelivered"
    assert "wechat" in (reason or "")


def test_an_answer_that_went_out_already_is_not_pushed_again(db: Database, late: int) -> None:
    platform = Platform()
    Deliveries(db).deliver(late, "push")
    run(db, platform)
    assert platform.got == []
    assert Jobs(db).stats() == {("push", "done"): 1}


def test_a_job_sent_again_brings_the_answer(db: Database, late: int) -> None:
    run(db, Platform(Undeliverable("quota")))
    [trouble] = Jobs(db).troubled()
    assert Jobs(db).resend(trouble.job.id)
    platform = Platform()
    run(db, platform)
    assert len(platform.got) == 1
    assert outcome(db, late) == ("delivered", "push", None)
