"""One way for each answer, whoever asks first: on every engine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import pytest

from handler.message import InboundMessage, Reply, Via
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Outcome, Timing
from storage.exchanges import Exchanges
from storage.jobs import Jobs
from storage.models import Exchange
from tests.race import at_once

TIMING = Timing(None, 1)
ANSWER = Reply("带上身份证。", "coze")


class Desk:
    """An exchange under way, and everything that may happen to it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.exchanges = Exchanges(db)
        self.deliveries = Deliveries(db)
        self.jobs = Jobs(db)
        self._keys = itertools.count()
        self.begin()

    def begin(self) -> None:
        message = InboundMessage("web", "default", "u", str(next(self._keys)), "你好", request_id="trace")
        self.number = self.exchanges.claim(message, "owner", 60_000).exchange.id

    def answer(self, via: Via | None = None) -> Outcome:
        return self.exchanges.answer(self.number, "owner", ANSWER, TIMING, via)

    def deliver(self, via: Via = "passive") -> Via | None:
        return self.deliveries.deliver(self.number, via)

    def promise(self, via: Literal["push", "callback"] = "push") -> bool:
        return self.deliveries.promise(self.number, via)

    @property
    def row(self) -> Exchange:
        found = self.exchanges.get(self.number)
        assert found is not None
        return found

    @property
    def carriers(self) -> list[str]:
        """The kinds of the jobs that carry this answer."""
        return [job.kind for job in self.jobs.claim("test", 100) if job.exchange_id == self.number]


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db)


def test_an_answer_goes_out_once_and_may_be_repeated_by_the_same_way(desk: Desk) -> None:
    assert desk.deliver() is None
    desk.answer()
    assert [desk.deliver("passive"), desk.deliver("stream"), desk.deliver("passive")] == ["passive"] * 3
    assert (desk.row.status, desk.row.delivery) == ("delivered", "passive")
    assert desk.deliveries.deliver(404, "passive") is None


def test_an_answer_whose_reader_waits_is_delivered_with_its_record(desk: Desk) -> None:
    assert desk.answer("sync") == "delivered"
    row = desk.row
    assert (row.status, row.delivery, row.delivered_ms) == ("delivered", "sync", row.answered_ms)
    assert [desk.deliver("sync"), desk.deliver("stream"), desk.promise()] == ["sync", "sync", False]


def test_a_promised_answer_goes_its_own_way_whoever_waits(desk: Desk) -> None:
    assert desk.promise()
    assert desk.answer("sync") == "answered"
    assert (desk.row.status, desk.row.delivery, desk.row.delivered_ms) == ("answered", None, None)
    assert desk.deliver("sync") == "push"
    assert desk.carriers == ["push"]


def test_a_waiting_reader_and_a_promise_at_once_leave_exactly_one_way(desk: Desk) -> None:
    for _ in range(6):
        desk.begin()
        outcome, promised = at_once([partial(desk.answer, "sync"), desk.promise])
        assert promised is (outcome == "answered")
        assert desk.row.status == outcome
        assert desk.carriers == (["push"] if promised else [])


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["answer", "promise", "deliver"])), ids="-".join
)
def test_in_every_order_exactly_one_way_has_the_answer(desk: Desk, order: tuple[str, ...]) -> None:
    results = {name: getattr(desk, name)() for name in order}
    assert results["answer"]
    delivered_first = order.index("answer") < order.index("deliver") < order.index("promise")
    assert results["promise"] is not delivered_first
    assert desk.row.status == ("delivered" if delivered_first else "answered")
    assert desk.carriers == ([] if delivered_first else ["push"])
    # the other way learns who has it, or that nobody has yet
    early = order.index("deliver") < min(order.index("answer"), order.index("promise"))
    last = None if early else "passive" if delivered_first else "push"
    assert results["deliver"] == (None if order[0] == "deliver" else last)


@pytest.mark.parametrize(
    "together", list(itertools.combinations(["answer", "promise", "deliver"], 2)), ids="+".join
)
def test_two_at_once_leave_exactly_one_way(desk: Desk, together: tuple[str, str]) -> None:
    for _ in range(6):
        desk.begin()
        for name in {"answer"} - set(together):
            getattr(desk, name)()
        results = dict(zip(together, at_once([getattr(desk, name) for name in together]), strict=True))
        for name in {"promise", "deliver"} - set(together):
            results[name] = getattr(desk, name)()
        delivered = desk.row.status == "delivered"
        assert results["promise"] is not delivered
        assert desk.carriers == ([] if delivered else ["push"])


def test_all_three_at_once_leave_exactly_one_way(desk: Desk) -> None:
    for _ in range(6):
        desk.begin()
        calls: list[Callable[[], object]] = [desk.answer, desk.promise, desk.deliver, desk.promise]
        answered, promised, delivered, again = at_once(calls)
        assert answered == "answered"
        assert promised is again is (delivered != "passive")
        assert desk.carriers == (["push"] if promised else [])


def test_of_two_ways_at_once_one_has_it_and_both_know_which(desk: Desk) -> None:
    desk.answer()
    ways: list[Via] = ["passive", "stream", "sync", "fetch"] * 4
    told = at_once([partial(desk.deliver, via) for via in ways])
    assert set(told) == {desk.row.delivery}


def test_of_two_promises_at_once_one_way_is_promised(desk: Desk) -> None:
    for _ in range(6):
        desk.begin()
        desk.answer()
        push, callback = at_once([desk.promise, partial(desk.promise, "callback")])
        assert push is not callback
        assert desk.carriers == ["push" if push else "callback"]


def test_many_equal_promises_at_once_write_one_job(desk: Desk) -> None:
    desk.answer()
    assert at_once([desk.promise] * 10) == [True] * 10
    assert desk.carriers == ["push"]


def test_what_is_promised_goes_no_other_way(desk: Desk) -> None:
    assert desk.promise()
    assert desk.deliver("passive") == "push"
    desk.answer()
    assert desk.deliver("fetch") == "push"
    assert desk.promise("callback") is False
    assert desk.row.status == "answered"


def test_what_went_out_cannot_be_promised(desk: Desk) -> None:
    desk.answer()
    desk.deliver("stream")
    assert desk.promise() is False
    assert desk.carriers == []


def test_a_late_answer_has_all_that_its_platform_needs(desk: Desk) -> None:
    assert desk.deliveries.late(desk.number) is None
    desk.answer()
    late = desk.deliveries.late(desk.number)
    assert late is not None
    assert (late.reply, late.platform, late.user, late.question) == (ANSWER, "web", "u", "你好")
    assert late.asked_ms <= time.time() * 1000
    desk.deliver()
    assert desk.deliveries.late(desk.number) is None
    assert desk.deliveries.late(404) is None
