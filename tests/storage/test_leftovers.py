"""Rests and riders reach their customer once, whatever dies in between: on every engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import update

from handler.message import InboundMessage, Reply
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.leftovers import KEPT_MS, Leftovers
from storage.models import Exchange
from storage.outbound_tables import Rest
from tests.race import at_once

MESSAGE = InboundMessage("wechat", "default", "oUser", "1", "问题", request_id="trace")
Claims = Callable[..., Exchange]


@pytest.fixture
def claim(db: Database) -> Claims:
    """A message of the customer, in our hands; with `answer` it has one."""
    keys = itertools.count()

    def make(answer: str = "", user: str = "oUser") -> Exchange:
        message = replace(MESSAGE, dedupe_key=str(next(keys)), user=user)
        exchange = Exchanges(db).claim(message, "me", 60_000).exchange
        if answer:
            Exchanges(db).answer(exchange.id, "me", Reply(answer, "coze"), Timing(None, 1))
        return exchange

    return make


@pytest.fixture
def leftovers(db: Database) -> Leftovers:
    return Leftovers(db)


def row(db: Database, exchange: Exchange) -> Exchange:
    found = Exchanges(db).get(exchange.id)
    assert found is not None
    return found


def test_a_rest_is_given_to_one_exchange_together_with_its_words(
    db: Database, leftovers: Leftovers, claim: Claims
) -> None:
    shown, first, second = claim("答案"), claim(), claim()
    assert leftovers.keep(shown.id, "后面的内容")
    rest = leftovers.newest_rest(first)
    assert rest is not None
    assert rest.text == "后面的内容"
    assert leftovers.take_rest(shown.id, first.id, "me")
    # a process that dies here leaves the words to whoever takes the exchange over
    assert (row(db, first).answer, row(db, first).source) == ("后面的内容", "rest")
    assert leftovers.newest_rest(second) is None
    assert not leftovers.take_rest(shown.id, second.id, "me")
    assert row(db, second).answer is None


def test_the_rest_of_a_person_s_words_stays_a_person_s(
    db: Database, leftovers: Leftovers, claim: Claims
) -> None:
    said, asking = claim("答案"), claim()
    with db.write() as session:
        session.execute(update(Exchange).where(Exchange.id == said.id).values(source="agent"))
    leftovers.keep(said.id, "后面的内容")
    assert leftovers.take_rest(said.id, asking.id, "me")
    assert row(db, asking).source == "agent"


def test_of_two_that_ask_at_once_one_gets_it(leftovers: Leftovers, claim: Claims) -> None:
    shown = claim("答案")
    leftovers.keep(shown.id, "后面的内容")
    asking = [claim() for _ in range(4)]
    assert sum(at_once([partial(leftovers.take_rest, shown.id, each.id, "me") for each in asking])) == 1


def test_a_rest_may_be_kept_by_many_deliveries_at_once_and_never_comes_back(
    leftovers: Leftovers, claim: Claims
) -> None:
    shown, asking, later = claim("答案"), claim(), claim()
    assert at_once([partial(leftovers.keep, shown.id, "后面的内容")] * 6) == [True] * 6
    leftovers.take_rest(shown.id, asking.id, "me")
    leftovers.keep(shown.id, "后面的内容")
    assert leftovers.newest_rest(later) is None
    assert not leftovers.keep(404, "x")


def test_a_rest_is_the_customer_s_own_and_runs_out(db: Database, leftovers: Leftovers, claim: Claims) -> None:
    shown = claim("答案")
    leftovers.keep(shown.id, "后面的内容")
    assert leftovers.newest_rest(claim(user="oSomebodyElse")) is None
    with db.write() as session:
        session.execute(update(Rest).values(expires_ms=1))
    assert leftovers.newest_rest(claim()) is None
    # the next one that is kept clears what ran out
    leftovers.keep(claim("x").id, "y")
    with db.read() as session:
        assert session.get(Rest, shown.id) is None


def test_the_rest_of_a_push_that_broke_off_makes_it_delivered(
    db: Database, leftovers: Leftovers, claim: Claims
) -> None:
    shown, asking = claim("答案"), claim()
    with db.write() as session:
        session.execute(update(Exchange).where(Exchange.id == shown.id).values(status="undelivered"))
    leftovers.keep(shown.id, "后面的内容")
    assert leftovers.take_rest(shown.id, asking.id, "me")
    assert (row(db, shown).status, row(db, shown).delivery) == ("delivered", "fetch")


def test_a_late_answer_rides_with_one_message_again_and_again(
    db: Database, leftovers: Leftovers, claim: Claims
) -> None:
    late, carrier, another = claim("迟到的回答"), claim("回答"), claim("回答")
    assert [each.reply.text for each in leftovers.riders(carrier.id)] == ["迟到的回答"]
    assert leftovers.carry(carrier.id, [late.id]) == [late.id]
    assert (row(db, late).status, row(db, late).delivery) == ("delivered", "fetch")
    # WeChat delivers the carrier once more
    assert [each.exchange_id for each in leftovers.riders(carrier.id)] == [late.id]
    assert leftovers.carry(carrier.id, [late.id]) == [late.id]
    assert leftovers.carry(another.id, [late.id]) == []


def test_of_many_carriers_at_once_one_has_it(leftovers: Leftovers, claim: Claims) -> None:
    late = claim("迟到的回答")
    carriers = [claim() for _ in range(4)]
    carried = at_once([partial(leftovers.carry, each.id, [late.id]) for each in carriers])
    assert sorted(map(len, carried)) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("values", "rides"),
    [
        ({}, True),
        ({"status": "undelivered", "later": "push", "delivery_error": "wechat_45047"}, True),
        ({"status": "undelivered", "later": "push", "delivery_error": "in_doubt"}, False),
        ({"later": "push"}, False),
        ({"status": "delivered", "delivery": "passive"}, False),
        ({"source": "merged"}, False),
        ({"answer": ""}, False),
        ({"user_id": "oUser", "created_ms": -KEPT_MS - 1000}, False),
    ],
)
def test_only_what_nobody_else_brings_rides(
    db: Database, leftovers: Leftovers, claim: Claims, values: dict[str, object], rides: bool
) -> None:
    late, carrier = claim("迟到的回答"), claim("回答")
    if "created_ms" in values:
        values = {**values, "created_ms": late.created_ms - KEPT_MS - 1000}
    if values:
        with db.write() as session:
            session.execute(update(Exchange).where(Exchange.id == late.id).values(**values))
    assert bool(leftovers.riders(carrier.id)) is rides


def test_a_push_that_came_in_part_goes_on_with_its_rest_and_does_not_ride(
    db: Database, leftovers: Leftovers, claim: Claims
) -> None:
    late, carrier = claim("迟到的回答"), claim("回答")
    refused = {"status": "undelivered", "delivery_error": "part 2 of 3: wechat_45047"}
    with db.write() as session:
        session.execute(update(Exchange).where(Exchange.id == late.id).values(**refused))
    leftovers.keep(late.id, "后面的内容")
    assert leftovers.riders(carrier.id) == []


def test_what_has_ridden_is_not_fetched(db: Database, leftovers: Leftovers, claim: Claims) -> None:
    late, carrier, asking = claim("迟到的回答"), claim(), claim()
    leftovers.carry(carrier.id, [late.id])
    assert not Deliveries(db).fetch(late.id, asking.id, "me")
