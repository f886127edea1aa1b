"""What the bot does while Coze is down, and how it notices that it is back."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from coze import breaker
from coze.breaker import FAILURES
from sandbox.coze import LocalCoze
from tests.coze.wire import CHUNKED, CREATED, Hang, Wire, chunk, whole
from tests.coze.world import FINISH, TEXTS, World, posts


def go_down(world: World, coze: LocalCoze) -> None:
    for _ in range(FAILURES):
        coze.faults.queue("http_status", status=500)
        assert world.ask().error == "coze_http_500"
    assert world.bot.breaker.state == "open"


def test_a_coze_that_is_down_is_left_alone(world: World, coze: LocalCoze) -> None:
    go_down(world, coze)
    for _ in range(20):
        reply = world.ask()
        assert (reply.text, reply.error) == (TEXTS.apology, "coze_resting")
    assert len(posts(coze)) == FAILURES
    assert world.sink.calls == FAILURES, "a question that was not put does not count as one"


def test_the_return_of_coze_is_noticed(world: World, coze: LocalCoze) -> None:
    world.bot.breaker.pause = 0.2
    go_down(world, coze)
    time.sleep(0.2)
    assert world.ask().error is None
    assert world.bot.breaker.state == "closed"


def test_a_question_that_finds_coze_down_names_what_it_found(
    wired: Callable[..., tuple[World, Wire]],
) -> None:
    world, wire = wired([], [], [], [], [], [])
    assert [world.ask().error for _ in range(4)] == [*["coze_disconnected"] * 3, "coze_resting"]
    assert len(wire.seen) == FAILURES, "the third question was put once: its failure was the fifth"


def test_questions_that_coze_refuses_do_not_make_it_rest(world: World, coze: LocalCoze) -> None:
    for _ in range(2 * FAILURES):
        coze.faults.queue("code", code=4105)
        assert world.ask().error == "coze_4105"
    assert world.bot.breaker.state == "closed"


def test_a_stream_of_failing_chats_makes_it_rest(world: World, coze: LocalCoze) -> None:
    for _ in range(FAILURES):
        coze.faults.queue("chat_failed", code=5000)
        assert world.ask().error == "coze_5000"
    assert world.ask().error == "coze_resting"


def test_waiting_for_suggestions_is_no_failure(
    world: World, wired: Callable[..., tuple[World, Wire]]
) -> None:
    world, _ = wired(*[[CHUNKED, chunk(CREATED + whole("好") + FINISH), Hang(0.3)]] * FAILURES)
    for _ in range(FAILURES):
        assert world.ask().error is None
    assert world.bot.breaker.state == "closed"


def test_a_probe_that_hangs_is_given_up_soon(
    world_at: Callable[..., World], url: str, coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_at(url, coze_read_timeout=50)
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.3)
    world.bot.breaker.pause = 0.1
    go_down(world, coze)
    time.sleep(0.1)
    coze.faults.queue("hang_after_headers")
    started = time.monotonic()
    assert world.ask(seconds=50).error == "coze_timeout"
    assert time.monotonic() - started < 20, "and not after the 50 s of silence that others are given"
    assert world.bot.breaker.state == "open"


def test_a_probe_that_was_taken_has_all_the_time_of_an_answer(
    world: World, coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.3)
    world.bot.breaker.pause = 0.1
    go_down(world, coze)
    time.sleep(0.1)
    reply = world.ask("你好 [[delay:0.8]]")
    assert (reply.error, world.bot.breaker.state) == (None, "closed")
    assert len(posts(coze)) == FAILURES + 1


def test_an_answer_that_broke_off_is_fetched_when_coze_is_back(world: World, coze: LocalCoze) -> None:
    world.bot.breaker.pause = 0.3
    coze.faults.queue("cut_mid_event")
    for _ in range(FAILURES + 1):
        coze.faults.queue("http_status", on="retrieve", status=500)
    reply = world.ask(seconds=20)
    assert (reply.error, reply.text) == (None, world.sink.shown)
    looks = [each for each in coze.requests if each.path == "/v3/chat/retrieve"]
    assert len(looks) == FAILURES + 2, "two of them probes: the last of the failures, and the success"
    assert world.bot.breaker.state == "closed"
