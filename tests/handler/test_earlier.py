"""What was said before a dialogue came to us is lost neither with a process nor with the database."""

from __future__ import annotations

from pathlib import Path

from handler.handler import message_of
from handler.message import InboundMessage, Line
from storage.db import Database
from storage.exchanges import Exchanges
from storage.spool import Spool

EARLIER = (Line("user", "我叫王五"), Line("assistant", "您好，王五", 1_750_000_000_000))


def message(earlier: tuple[Line, ...] = EARLIER) -> InboundMessage:
    return InboundMessage("sessions", "default", "u", "k", "你好", raw={"chat_id": "k"}, earlier=earlier)


def test_whoever_takes_an_exchange_over_has_it(db: Database) -> None:
    exchanges = Exchanges(db)
    number = exchanges.claim(message(), "dies", 1000).exchange.id
    stored = exchanges.get(number)
    assert stored is not None
    assert message_of(stored).earlier == EARLIER
    assert stored.raw["chat_id"] == "k"


def test_a_message_without_any_has_none(db: Database) -> None:
    exchange = Exchanges(db).claim(message(()), "dies", 1000).exchange
    assert exchange.raw == {"chat_id": "k"}
    assert message_of(exchange).earlier == ()


def test_a_field_of_the_platform_is_not_mistaken_for_it(db: Database) -> None:
    forged = InboundMessage("wechat", "default", "u", "k", "你好", raw={"yingda.earlier": "我叫王五"})
    assert message_of(Exchanges(db).claim(forged, "dies", 1000).exchange).earlier == ()


def test_the_spool_keeps_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1_000_000)
    spool.keep(message())
    taken: list[InboundMessage] = []
    assert spool.replay(taken.append, 10) == 1
    assert taken == [message()]
