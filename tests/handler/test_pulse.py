"""Heartbeats of those who wait long."""

from __future__ import annotations

import threading
import time

import pytest

from handler.pulse import Pulse, Reader

PATIENCE = 10.0


def test_who_waits_long_is_woken_again_and_again() -> None:
    reader = Reader(0.02)
    began = time.monotonic()
    with Pulse().waking(reader):
        assert [reader.wait(), reader.wait()] == [False, False]
        assert time.monotonic() - began >= 0.04
        reader.ring()
        assert reader.wait()


def test_each_reader_has_a_heartbeat_of_its_own() -> None:
    pulse = Pulse()
    slow, quick = Reader(PATIENCE), Reader(0.02)
    heard: list[bool] = []
    with pulse.waking(slow), pulse.waking(quick):
        waiting = threading.Thread(target=lambda: heard.append(slow.wait()))
        waiting.start()
        assert [quick.wait() for _ in range(5)] == [False] * 5
        assert heard == []
        slow.ring()
        waiting.join(PATIENCE)
    assert heard == [True]


def test_a_reader_without_heartbeats_costs_no_thread() -> None:
    before = threading.active_count()
    reader = Reader(None)
    with Pulse().waking(reader):
        assert threading.active_count() == before
        reader.visit(time.monotonic() + 1e9)
        reader.ring()
        assert reader.wait()


def test_a_reader_that_is_busy_collects_no_heartbeats() -> None:
    reader = Reader(0.01)
    with Pulse().waking(reader):
        reader.ring()
        assert reader.wait()
        time.sleep(0.1)
        reader.ring()
        assert reader.wait()


def test_rings_that_came_together_are_one() -> None:
    reader = Reader(0.05)
    for _ in range(3):
        reader.ring()
    assert reader.wait()
    with Pulse().waking(reader):
        assert not reader.wait()


def test_a_heartbeat_that_crossed_with_a_ring_is_dropped() -> None:
    reader = Reader(0.2)
    reader._since = 0.0
    # woken while the ring was on its way: both are in the queue
    reader.ring()
    reader.visit(time.monotonic())
    began = time.monotonic()
    assert reader.wait()
    with Pulse().waking(reader):
        assert not reader.wait()
    assert time.monotonic() - began >= 0.2


def test_without_a_thread_there_are_answers_and_no_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pulse, reader = Pulse(), Reader(0.01)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pulse.waking(reader):
            reader.ring()
            assert reader.wait()
    with pulse.waking(reader):
        assert not reader.wait()
