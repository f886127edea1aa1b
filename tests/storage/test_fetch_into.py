"""Fetching an answer and having it are one step: no death in between loses it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from handler.message import Doc, InboundMessage, Reply
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.models import Exchange

MESSAGE = InboundMessage("wechat", "default", "oUser", "1", "问题", request_id="trace")
REPLY = Reply(
    "答案", "coze", docs=(Doc("指南", "https://docs.example.com/guide"),), suggestions=("还有呢？",)
)


@pytest.fixture
def waiting(db: Database) -> Exchange:
    """An exchange whose answer has not reached its customer."""
    exchange = Exchanges(db).claim(MESSAGE, "me", 60_000).exchange
    assert Exchanges(db).answer(exchange.id, "me", REPLY, Timing(None, 1))
    return exchange


@pytest.fixture
def asking(db: Database, waiting: Exchange) -> Exchange:
    """The customer's 继续, in our hands."""
    return Exchanges(db).claim(replace(MESSAGE, dedupe_key="2", text="继续"), "me", 60_000).exchange


def row(db: Database, exchange: Exchange) -> Exchange:
    found = Exchanges(db).get(exchange.id)
    assert found is not None
    return found


def test_a_successor_finds_the_fetched_answer_in_the_row_it_takes_over(
    db: Database, waiting: Exchange, asking: Exchange
) -> None:
    assert Deliveries(db).fetch(waiting.id, asking.id, "me")
    assert (row(db, waiting).status, row(db, waiting).delivery) == ("delivered", "fetch")
    kept = row(db, asking)
    assert kept.status == "claimed"
    assert kept.answer == REPLY.text
    assert kept.docs == row(db, waiting).docs
    assert kept.suggestions == ["还有呢？"]
    assert kept.source == "command"


@pytest.mark.parametrize("source", ["agent", "rest"])
def test_a_successor_knows_whose_words_it_found(
    db: Database, waiting: Exchange, asking: Exchange, source: str
) -> None:
    with db.write() as session:
        session.execute(update(Exchange).where(Exchange.id == waiting.id).values(source=source))
    assert Deliveries(db).fetch(waiting.id, asking.id, "me")
    # what a person wrote is shown as it stands
    assert row(db, asking).source == source


def test_an_answer_that_went_another_way_is_not_fetched(
    db: Database, waiting: Exchange, asking: Exchange
) -> None:
    assert Deliveries(db).deliver(waiting.id, "passive") == "passive"
    assert not Deliveries(db).fetch(waiting.id, asking.id, "me")
    assert row(db, asking).answer is None


def test_a_process_that_lost_the_question_fetches_nothing(
    db: Database, waiting: Exchange, asking: Exchange
) -> None:
    assert not Deliveries(db).fetch(waiting.id, asking.id, "somebody else")
    assert row(db, waiting).status == "answered"


def test_it_is_fetched_once(db: Database, waiting: Exchange, asking: Exchange) -> None:
    assert Deliveries(db).fetch(waiting.id, asking.id, "me")
    assert not Deliveries(db).fetch(waiting.id, asking.id, "me")
