"""Through two whole gateways on one database to a local Coze: turns, resuming, and the limits of asking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast
from unittest import mock

import pytest
from flask import Flask

from app import Yingda, create_app
from errors import Unavailable
from handler.message import InboundMessage
from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.serve import Server
from settings import Settings
from storage.db import Database
from storage.leases import Leases
from storage.models import Exchange
from texts import Texts

LEASE_MS = 300


@dataclass
class Pair:
    """Two processes of one installation, and the Coze that both ask."""

    coze: LocalCoze
    first: Yingda
    second: Yingda

    @property
    def asked(self) -> list[str]:
        """The questions that began a chat, in their order."""
        posts = [each for each in self.coze.requests if each.path == "/v3/chat"]
        return [cast("dict", each.json)["additional_messages"][0]["content"] for each in posts]  # type: ignore[type-arg]

    def row(self, number: int) -> Exchange:
        found = self.first.handler.exchanges.get(number)
        assert found is not None
        return found


@pytest.fixture
def pair(shared_db: Database, make_settings: Callable[..., Settings]) -> Iterator[Pair]:
    coze = LocalCoze()
    with Server(create_coze(coze)) as upstream:
        apps: list[Flask] = [
            create_app(
                make_settings(
                    database_url=shared_db.engine.url.render_as_string(hide_password=False),
                    coze_api_base=upstream.url,
                    coze_api_token="pat_yingda-sandbox",
                    coze_bot_id="7000000000000000001",
                )
            )
            for _ in range(2)
        ]
        first, second = (each.extensions["yingda"] for each in apps)
        for each in (first, second):
            each.handler.leases = Leases(each.db, LEASE_MS)
        yield Pair(coze, first, second)
        for each in (first, second):
            each.close()


def message(text: str, key: str, user: str = "u") -> InboundMessage:
    return InboundMessage("web", "default", user, key, text, request_id=f"trace-{key}")


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_dialogue_is_answered_in_order_across_processes(pair: Pair) -> None:
    questions = [f"第{number}个问题" for number in range(5)]
    runs = []
    for number, question in enumerate(questions):
        gateway = (pair.first, pair.second)[number % 2]
        runs.append(gateway.answer(message(question + "[[delay:0.2]]", str(number))))
    replies = [run.wait(20) for run in runs]
    assert [each.error for each in replies if each] == [None] * 5
    assert [each.split("[[")[0] for each in pair.asked] == questions
    rows = [pair.row(run.exchange_id) for run in runs]
    moments = [row.answered_ms or 0 for row in rows]
    assert moments == sorted(moments)
    assert [row.coze_calls for row in rows] == [1] * 5


def test_one_message_too_many_is_told_so_at_once(pair: Pair) -> None:
    runs = [pair.first.answer(message("慢[[delay:1]]" if n == 0 else "快", str(n))) for n in range(7)]
    reply = runs[6].wait(1)
    assert reply is not None
    assert (reply.text, reply.error) == (Texts().busy, "queue_full")
    assert runs[0].wait(0) is None
    for run in runs[:6]:
        answered = run.wait(20)
        assert answered is not None
        assert answered.error is None


def test_a_taken_over_chat_is_resumed_and_nothing_asked_again(pair: Pair) -> None:
    dying, living = pair.first.handler, pair.second.handler
    with (
        mock.patch.object(dying.leases, "renew"),
        # it gets as far as the answer, and no further
        mock.patch.object(dying.exchanges, "answer", side_effect=lambda *_, **__: time.sleep(2) or False),
    ):
        run = dying.answer(message("居住证怎么办?[[delay:0.5]]", "1"))
        until(lambda: pair.row(run.exchange_id).chat_id)
        until(living.rescue)
        until(lambda: pair.row(run.exchange_id).status == "answered")
    row = pair.row(run.exchange_id)
    assert row.error_code is None
    assert row.answer
    assert row.coze_calls == 1
    assert len(pair.asked) == 1
    reply = run.wait(10)
    assert reply is not None
    assert reply.text == row.answer


def test_after_four_calls_there_is_an_apology(pair: Pair) -> None:
    exchanges = pair.first.handler.exchanges
    number = exchanges.claim(message("你好", "1"), "dead", LEASE_MS).exchange.id
    # the first one was counted with the claim
    for _ in range(3):
        assert exchanges.call_begins(number, "dead")
    until(pair.second.handler.rescue)
    until(lambda: pair.row(number).status == "answered")
    row = pair.row(number)
    assert (row.answer, row.error_code, row.coze_calls) == (Texts().gave_up, "too_many_calls", 4)
    assert pair.asked == []


def test_a_dead_owner_in_front_is_rescued_and_keeps_its_place(pair: Pair) -> None:
    exchanges = pair.first.handler.exchanges
    first = exchanges.claim(message("前面的", "1"), "dead", LEASE_MS).exchange.id
    run = pair.first.answer(message("后面的", "2"))
    until(pair.second.handler.rescue)
    assert run.wait(20) is not None
    assert pair.asked == ["前面的", "后面的"]
    assert (pair.row(first).answered_ms or 0) <= (pair.row(run.exchange_id).answered_ms or 0)


def test_the_runner_rescues_without_being_asked(pair: Pair) -> None:
    number = pair.first.handler.exchanges.claim(message("救命", "1"), "dead", LEASE_MS).exchange.id
    pair.second.start()
    until(lambda: pair.row(number).status == "answered")
    assert pair.row(number).error_code is None


def test_a_wait_in_line_goes_on_when_the_database_blinks(pair: Pair) -> None:
    exchanges = pair.first.handler.exchanges
    blinks = [Unavailable("the database does not answer")] * 3
    real = exchanges.ahead

    def blinking(exchange: Exchange) -> int:
        if blinks and exchange.question == "二":
            raise blinks.pop()
        return real(exchange)

    with mock.patch.object(exchanges, "ahead", blinking):
        runs = [pair.first.answer(message("一[[delay:0.5]]", "1")), pair.first.answer(message("二", "2"))]
        replies = [run.wait(20) for run in runs]
    assert [reply.error for reply in replies if reply] == [None, None]
    assert blinks == []


def test_a_run_that_lost_its_exchange_while_waiting_does_not_hold_it(pair: Pair) -> None:
    front = pair.second.answer(message("前面的[[delay:2]]", "1"))
    with mock.patch.object(pair.first.handler.leases, "renew"):
        run = pair.first.answer(message("后面的", "2"))
        taken = pair.second.handler.leases
        until(lambda: [each for each in taken.suspects() if taken.take_over(each, "dies at once")])
    # the only process left has it again, and asks once
    until(pair.first.handler.rescue)
    replies = [front.wait(20), run.wait(20)]
    assert [reply.error for reply in replies if reply] == [None, None]
    assert [each.split("[[")[0] for each in pair.asked] == ["前面的", "后面的"]
