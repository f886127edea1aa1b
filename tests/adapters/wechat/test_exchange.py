"""The callback in front of the real handler and real rows: attempts, deliveries, two processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from handler.handler import Handler
from handler.message import Reply
from handler.work import Work
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchanges import Exchanges
from storage.leases import Leases
from storage.models import Exchange
from texts import Texts


class Slow:
    """A responder that answers when it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.asked: list[Work] = []

    def respond(self, work: Work) -> Reply | None:
        self.asked.append(work)
        assert self.ready.wait(10)
        return Reply("终于好了", "coze")


@pytest.fixture
def responder() -> Slow:
    return Slow()


@pytest.fixture
def open_handled(open_wechat: Any, db: Database, responder: Slow) -> Callable[[], Any]:
    """WeChat, and a gateway process with a handler of its own on the shared database."""

    def make() -> Any:
        gateway, wechat = open_wechat()
        handler = Handler(Exchanges(db), Leases(db), Deliveries(db), [responder], Texts())
        gateway.answer, gateway.deliver, gateway.promise = handler.answer, handler.deliver, handler.promise
        return wechat

    return make


def row(db: Database, responder: Slow) -> Exchange:
    (work,) = responder.asked
    found = Exchanges(db).get(work.exchange.id)
    assert found is not None
    return found


def test_an_answer_in_time_is_delivered_passively(open_handled: Any, db: Database, responder: Slow) -> None:
    responder.ready.set()
    outcome = open_handled().send_text("oFollower", "在吗")
    assert outcome.text == "终于好了"
    exchange = row(db, responder)
    assert (exchange.status, exchange.delivery, exchange.attempts) == ("delivered", "passive", 1)
    assert (exchange.platform, exchange.account, exchange.user_id) == ("wechat", "default", "oFollower")
    assert (exchange.question, exchange.raw["Content"]) == ("在吗", "在吗")


def test_the_attempt_is_counted_in_the_row(open_handled: Any, db: Database, responder: Slow) -> None:
    threading.Timer(1.3, responder.ready.set).start()
    outcome = open_handled().send_text("oFollower", "很难的问题")
    assert [each.text for each in outcome.bubbles] == ["终于好了"]
    exchange = row(db, responder)
    assert (exchange.status, exchange.delivery) == ("delivered", "passive")
    assert exchange.attempts == len(outcome.tries)


def test_after_the_placeholder_the_answer_waits_in_its_row(
    open_handled: Any, db: Database, responder: Slow
) -> None:
    wechat = open_handled()
    outcome = wechat.send_text("oFollower", "特别难的问题")
    assert "获取答案" in outcome.text
    assert row(db, responder).status in {"claimed", "running"}
    responder.ready.set()
    again = wechat.send_text(
        "oFollower",
        "特别难的问题",
        msg_id=outcome.msg_id,
        create_time=int(responder.asked[0].message.sent_at),
    )
    assert again.text == "终于好了"
    assert row(db, responder).status == "delivered"


def test_two_processes_give_one_answer(open_handled: Any, db: Database, responder: Slow) -> None:
    first, second = open_handled(), open_handled()
    threading.Timer(0.3, responder.ready.set).start()
    outcome = first.send_text(
        "oFollower", "在吗", together=2, callback_urls=[first.callback_url, second.callback_url]
    )
    assert {each.decrypted for each in outcome.tries} == {outcome.tries[0].decrypted}
    assert outcome.text == "终于好了"
    exchange = row(db, responder)
    assert (exchange.attempts, exchange.status) == (2, "delivered")


def test_a_retry_may_arrive_at_another_process(open_handled: Any, db: Database, responder: Slow) -> None:
    first, second = open_handled(), open_handled()
    threading.Timer(1.3, responder.ready.set).start()
    outcome = first.send_text("oFollower", "在吗", callback_urls=[first.callback_url, second.callback_url])
    assert [each.text for each in outcome.bubbles] == ["终于好了"]
    assert row(db, responder).delivery == "passive"


def test_a_duplicate_after_the_answer_changes_nothing(
    open_handled: Any, db: Database, responder: Slow
) -> None:
    responder.ready.set()
    outcome = open_handled().send_text("oFollower", "在吗", duplicate=2)
    assert len({each.decrypted for each in outcome.tries}) == 1
    assert (row(db, responder).attempts, outcome.notice) == (3, False)


def test_late_answers_are_looked_for_only_where_some_wait(
    open_wechat: Any, db: Database, responder: Slow
) -> None:
    gateway, wechat = open_wechat()
    handler = Handler(Exchanges(db), Leases(db), Deliveries(db), [responder], Texts())
    gateway.answer, gateway.deliver, gateway.promise = handler.answer, handler.deliver, handler.promise
    looked: list[int] = []
    gateway.leftovers.riders = lambda carrier: looked.append(carrier) or []
    responder.ready.set()
    for words in ("在吗", "还在吗"):
        assert wechat.send_text("oFollower", words).text == "终于好了"
    assert not looked
    lost, other = (work.exchange.id for work in responder.asked)
    with db.write() as session:
        # as if nobody had been there to take it
        session.execute(update(Exchange).where(Exchange.id == lost).values(status="answered", delivery=None))
    assert wechat.send_text("oFollower", "好").text == "终于好了"
    assert len(looked) == 1
    assert looked[0] > other
