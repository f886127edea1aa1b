"""What was given up stays fetchable: by the customer's own asking, and by nothing else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from handler.message import InboundMessage, Reply, Via
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.jobs import Jobs
from storage.models import Exchange

MESSAGE = InboundMessage("wechat", "default", "oUser", "1", "问题", request_id="trace")


@pytest.fixture
def given_up(db: Database) -> Exchange:
    """An exchange whose answer WeChat did not take."""
    exchanges = Exchanges(db)
    exchange = exchanges.claim(MESSAGE, "me", 60_000).exchange
    assert Deliveries(db).promise(exchange.id, "push")
    assert exchanges.answer(exchange.id, "me", Reply("答案", "coze"), Timing(None, 1))
    (job,) = Jobs(db).claim("runner")
    assert Jobs(db).failed(job, "wechat_45047")
    found = exchanges.get(exchange.id)
    assert found is not None
    assert (found.status, found.delivery_error) == ("undelivered", "wechat_45047")
    return found


def test_the_customer_s_next_word_finds_it(db: Database, given_up: Exchange) -> None:
    asking = Exchanges(db).claim(replace(MESSAGE, dedupe_key="2", text="继续"), "me", 60_000).exchange
    waiting = Exchanges(db).waiting_before(asking, since_ms=0)
    assert waiting is not None
    assert waiting.id == given_up.id
    assert Deliveries(db).deliver(waiting.id, "fetch") == "fetch"
    assert Exchanges(db).waiting_before(asking, since_ms=0) is None
    row = Exchanges(db).get(given_up.id)
    assert row is not None
    # the log goes on telling why it was not pushed
    assert (row.status, row.delivery, row.delivery_error) == ("delivered", "fetch", "wechat_45047")


def test_beside_a_fetch_a_passive_retry_gets_nothing(db: Database, given_up: Exchange) -> None:
    together = threading.Barrier(2)

    def fetch(via: Via) -> Via | None:
        together.wait(10)
        return Deliveries(db).deliver(given_up.id, via)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fetch, ("fetch", "passive")))
    row = Exchanges(db).get(given_up.id)
    assert row is not None
    assert (row.status, row.delivery) == ("delivered", "fetch")


@pytest.mark.parametrize("via", ["passive", "push", "sync", "stream", "callback"])
def test_no_other_way_takes_it(db: Database, given_up: Exchange, via: Via) -> None:
    assert Deliveries(db).deliver(given_up.id, via) == "push"
    row = Exchanges(db).get(given_up.id)
    assert row is not None
    assert row.status == "undelivered"


def test_what_is_still_being_brought_is_not_fetched_beside_it(db: Database) -> None:
    exchange = Exchanges(db).claim(MESSAGE, "me", 60_000).exchange
    Deliveries(db).promise(exchange.id, "push")
    Exchanges(db).answer(exchange.id, "me", Reply("答案", "coze"), Timing(None, 1))
    assert Deliveries(db).deliver(exchange.id, "fetch") == "push"


def test_an_operator_s_resend_after_the_fetch_brings_nothing(db: Database, given_up: Exchange) -> None:
    Deliveries(db).deliver(given_up.id, "fetch")
    (trouble,) = Jobs(db).troubled()
    assert Jobs(db).resend(trouble.job.id)
    assert Deliveries(db).late(given_up.id) is None
