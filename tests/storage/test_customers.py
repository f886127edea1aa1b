"""Customers who talk with a person, and customers who leave."""

from __future__ import annotations

import secrets

import pytest
from sqlalchemy import select

from handler.message import Doc, InboundMessage, Kind, Media, Reply
from storage.customers import Customers
from storage.db import Database, now_ms
from storage.deliveries import Deliveries
from storage.exchange_rows import Note, Timing
from storage.exchanges import Exchanges
from storage.jobs import Jobs, enqueue
from storage.models import DialogueSession, Exchange, Job, Message
from storage.sessions import Sessions

WHO = ("wechat", "shop", "oOne")
SECRET = "我的银行卡号是 6222"


@pytest.fixture
def customers(db: Database) -> Customers:
    return Customers(db)


def said(
    db: Database, key: str, text: str = SECRET, user: str = "oOne", kind: Kind = "text", session: str = ""
) -> Exchange:
    message = InboundMessage(
        "wechat",
        "shop",
        user,
        key,
        text,
        session=session,
        kind=kind,
        media=(Media("image", "m", "http://pic"),),
        raw={"Content": text},
        request_id=key,
    )
    return Exchanges(db).claim(message, "us", 3000).exchange


def answered(db: Database, exchange: Exchange, text: str = SECRET) -> None:
    Exchanges(db).named([Note(exchange.id, "us", 0, "conversation", "chat", "log")])
    reply = Reply(text, "coze", docs=(Doc("1", text=text),), suggestions=(text,))
    assert Exchanges(db).answer(exchange.id, "us", reply, Timing(1, 2))


def row(db: Database, exchange: Exchange) -> Exchange:
    found = Exchanges(db).get(exchange.id)
    assert found is not None
    return found


def everything(db: Database) -> str:
    """All that the database holds of anybody, as one text."""
    with db.read() as session:
        rows = [
            each
            for table in (Exchange, Message, DialogueSession, Job)
            for each in session.scalars(select(table))
        ]
        return repr([{k: v for k, v in vars(each).items() if not k.startswith("_")} for each in rows])


# a person of ours


def is_met(customers: Customers, platform: str, account: str, user: str) -> bool:
    """What a message of this customer would find now."""
    exchanges = Exchanges(customers.db)
    message = InboundMessage(platform, account, user, secrets.token_hex(8), "hello")
    exchange = exchanges.claim(message, "me", 60_000).exchange
    return exchanges.standing(exchange).met_until_ms > now_ms()


def test_a_person_comes_and_goes(customers: Customers) -> None:
    assert not is_met(customers, *WHO)
    customers.met(*WHO, told_ms=1000, until_ms=now_ms() + 60_000)
    assert is_met(customers, *WHO)
    assert not is_met(customers, "wechat", "shop", "oTwo")
    customers.met(*WHO, told_ms=2000, until_ms=0)
    assert not is_met(customers, *WHO)


def test_an_older_event_that_comes_late_changes_nothing(customers: Customers) -> None:
    customers.met(*WHO, told_ms=2000, until_ms=0)
    customers.met(*WHO, told_ms=1000, until_ms=now_ms() + 60_000)
    assert not is_met(customers, *WHO)


def test_a_person_whose_end_was_never_told_is_gone_after_a_while(customers: Customers) -> None:
    customers.met(*WHO, told_ms=1000, until_ms=now_ms() - 1)
    assert not is_met(customers, *WHO)


# who leaves


def test_nothing_that_was_said_is_left(db: Database, customers: Customers) -> None:
    first, second = said(db, "1"), said(db, "2", session="another dialogue")
    for each in (first, second):
        answered(db, each)
        Sessions(db).remember(each.session_id, "conversation", "pat")
    Deliveries(db).deliver(first.id, "passive")
    running = said(db, "3")
    customers.met(*WHO, told_ms=1000, until_ms=now_ms() + 60_000)
    customers.erase(said(db, "4", "", kind="leave"))
    assert SECRET not in everything(db)
    assert "'conversation'" not in everything(db)
    assert not is_met(customers, *WHO)
    assert row(db, first).status == "delivered", "the log still tells that there was something"
    assert (row(db, second).status, row(db, second).delivery_error) == ("undelivered", "erased")
    assert not Exchanges(db).answer(running.id, "us", Reply(SECRET, "coze"), Timing(1, 2))
    assert SECRET not in everything(db)


def test_another_customer_is_left_alone(db: Database, customers: Customers) -> None:
    other = said(db, "1", "别人的问题", user="oTwo")
    answered(db, other, "别人的回答")
    customers.erase(said(db, "2", "", kind="leave"))
    assert (row(db, other).question, row(db, other).answer) == ("别人的问题", "别人的回答")


def test_doing_it_again_spares_a_customer_who_came_back(db: Database, customers: Customers) -> None:
    said(db, "1")
    leaving = said(db, "2", "", kind="leave")
    customers.erase(leaving)
    back = said(db, "3", "我又来了")
    answered(db, back, "欢迎回来")
    customers.erase(leaving)
    assert (row(db, back).question, row(db, back).answer) == ("我又来了", "欢迎回来")
    assert len(Sessions(db).transcript(back.session_id)) == 2


def test_what_was_to_be_brought_is_cancelled(db: Database, customers: Customers) -> None:
    first = said(db, "1")
    Deliveries(db).promise(first.id, "push")
    answered(db, first)
    with db.write() as session:
        enqueue(session, "mail", "other", {"words": "stays"})
    customers.erase(said(db, "2", "", kind="leave"))
    (left,) = Jobs(db).claim("runner", 10)
    assert left.kind == "mail"
    assert Jobs(db).troubled() == []
    assert Deliveries(db).late(first.id) is None


def test_a_forgotten_answer_cannot_be_fetched(db: Database, customers: Customers) -> None:
    answered(db, said(db, "1"))
    customers.erase(said(db, "2", "", kind="leave"))
    assert Exchanges(db).waiting_before(said(db, "3", "继续"), 0) is None
