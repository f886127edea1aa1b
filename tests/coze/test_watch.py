"""The watch: waits that last too long are ended, and only those."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from unittest import mock

import pytest

from coze import watch
from coze.errors import Unreachable
from coze.transport import Transport
from coze.watch import Watch
from tests.coze.wire import Wire, answer_json


class Reading:
    """A response that is read until then."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.given_up = 0

    def give_up(self) -> None:
        self.given_up += 1
        self.until = math.inf


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_only_what_has_lasted_too_long_is_given_up() -> None:
    over, waiting = Reading(time.monotonic() - 1), Reading(time.monotonic() + 60)
    late, idle = Reading(time.monotonic() + 0.05), Reading(math.inf)
    all_of_them, watched = Watch(), [over, waiting, late, idle]
    for each in watched:
        all_of_them.begin(each)
    until(lambda: over.given_up == late.given_up == 1)
    assert (waiting.given_up, idle.given_up) == (0, 0)
    for each in watched:
        all_of_them.end(each)
        all_of_them.end(each)


def test_the_thread_ends_with_the_last_and_begins_with_the_next() -> None:
    watching = Watch()
    for _ in range(3):
        reading = Reading(time.monotonic())
        watching.begin(reading)
        until(lambda reading=reading: reading.given_up == 1)  # type: ignore[misc]
        watching.end(reading)
        until(lambda: not watching._looking)


def test_without_a_thread_nothing_is_read_unwatched() -> None:
    real = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "watch":
            raise RuntimeError("can't start new thread")
        real(thread)

    ok = answer_json({"code": 0})
    with Wire([[ok], [ok]]) as wire:
        transport = Transport(wire.url)
        with mock.patch.object(threading.Thread, "start", refuse), pytest.raises(Unreachable):
            transport.send("POST", "/v3/chat", "pat_x", json={})
        with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
            assert incoming.body() == b'{"code": 0}'
        transport.close()
