"""Which questions are put to Coze again, and which are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.coze import LocalCoze
from tests.coze.wire import CLOSED, COMPLETED, CREATED, DONE, Wire, whole
from tests.coze.world import TEXTS, Follower, World


@pytest.mark.parametrize("code", [4009, 4013, 4020, 5000, 700012014])
def test_a_refusal_that_passes_is_asked_again(world: World, coze: LocalCoze, code: int) -> None:
    coze.faults.queue("code", code=code)
    assert world.ask().error is None
    assert world.sink.calls == 2


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_gateway_that_passes_is_asked_again(world: World, coze: LocalCoze, status: int) -> None:
    coze.faults.queue("http_status", status=status)
    assert world.ask().error is None
    assert world.sink.calls == 2


def test_after_a_gateway_timeout_the_question_is_not_put_again(world: World, coze: LocalCoze) -> None:
    coze.faults.queue("http_status", status=504)
    assert world.ask().error == "coze_http_504"
    assert world.sink.calls == 1


def test_a_question_without_any_answer_is_put_once_more(wired: Callable[..., tuple[World, Wire]]) -> None:
    good = [CLOSED, CREATED, whole("好"), COMPLETED, DONE]
    world, _ = wired([], good)
    assert world.ask().text == "好"
    world, wire = wired([], [], [])
    world.sink = Follower()
    assert world.ask().error == "coze_disconnected"
    assert len(wire.seen) == 2


def test_nobody_listening_is_an_apology(world_at: Callable[..., World]) -> None:
    with Wire([]) as wire:
        closed = wire.url
    reply = world_at(closed).ask()
    assert (reply.text, reply.error) == (TEXTS.apology, "coze_unreachable")


def test_a_failed_chat_is_not_asked_again(world: World, coze: LocalCoze) -> None:
    coze.faults.queue("chat_failed", code=4009)
    assert world.ask().error == "coze_4009"
    assert world.sink.calls == 1
