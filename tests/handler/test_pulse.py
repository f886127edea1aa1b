"""Heartbeats of those who wait long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from handler.pulse import QUIET, Pulse, Reader

PATIENCE = 10.0


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_who_waits_long_is_woken_again_and_again() -> None:
    reader: Reader[str] = Reader(0.02)
    began = time.monotonic()
    with Pulse().waking(reader):
        assert [reader.take(), reader.take()] == [[], []]
        assert time.monotonic() - began >= 0.04
        reader.put("a")
        assert reader.take() == ["a"]


def test_each_reader_has_a_heartbeat_of_its_own() -> None:
    pulse = Pulse()
    slow: Reader[str] = Reader(PATIENCE)
    quick: Reader[str] = Reader(0.02)
    heard: list[object] = []
    with pulse.waking(slow), pulse.waking(quick):
        waiting = threading.Thread(target=lambda: heard.extend(slow.take()))
        waiting.start()
        assert [quick.take() for _ in range(5)] == [[]] * 5
        assert heard == []
        slow.put("a")
        waiting.join(PATIENCE)
    assert heard == ["a"]


def test_a_reader_without_heartbeats_costs_no_thread() -> None:
    pulse = Pulse()
    reader: Reader[str] = Reader(None)
    with pulse.waking(reader):
        assert not pulse._beating
        reader.wake(time.monotonic() + 1e9)
        reader.put("a")
        assert reader.take() == ["a"]


def test_a_reader_that_is_busy_collects_no_heartbeats() -> None:
    reader: Reader[str] = Reader(0.01)
    with Pulse().waking(reader):
        reader.put("a")
        assert reader.take() == ["a"]
        time.sleep(0.1)
        reader.put("b")
        assert reader.take() == ["b"]


def test_a_heartbeat_that_crossed_with_an_item_is_dropped() -> None:
    reader: Reader[str] = Reader(0.2)
    # woken while the item was on its way: both are in the queue
    reader.put("a")
    reader.put(QUIET)  # type: ignore[arg-type]
    began = time.monotonic()
    assert reader.take() == ["a"]
    with Pulse().waking(reader):
        assert reader.take() == []
    assert time.monotonic() - began >= 0.2


def test_the_thread_ends_with_the_last_reader_and_begins_with_the_next() -> None:
    pulse = Pulse()
    for _ in range(2):
        with pulse.waking(reader := Reader[str](0.01)):
            assert reader.take() == []
        until(lambda: not pulse._beating)


def test_without_a_thread_there_are_answers_and_no_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pulse = Pulse()
    reader: Reader[str] = Reader(0.01)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pulse.waking(reader):
            reader.put("a")
            assert reader.take() == ["a"]
    with pulse.waking(reader):
        assert reader.take() == []
