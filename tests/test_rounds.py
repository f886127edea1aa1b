"""Rounds: who is there is visited, by one thread that ends with the last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from rounds import Rounds


class Guest:
    """Counts its visits."""

    def __init__(self) -> None:
        self.visits: list[float] = []

    def visit(self, now: float) -> None:
        self.visits.append(now)


def quick() -> Rounds[Guest]:
    return Rounds("rounds", lambda _: 0.01)


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_all_who_are_there_are_visited_until_they_leave() -> None:
    rounds, one, two = quick(), Guest(), Guest()
    rounds.enter(one)
    rounds.enter(two)
    until(lambda: min(len(one.visits), len(two.visits)) > 2)
    rounds.leave(one)
    rounds.leave(one)
    # the round that is being made may still come by
    time.sleep(0.05)
    seen = len(one.visits)
    more = len(two.visits) + 2
    until(lambda: len(two.visits) > more)
    assert len(one.visits) == seen
    assert two.visits == sorted(two.visits)
    rounds.leave(two)


def test_the_pause_depends_on_who_is_there() -> None:
    asked: list[int] = []

    def pause(members: object) -> float:
        asked.append(len(members))  # type: ignore[arg-type]
        return 0.01

    rounds, guests = Rounds[Guest]("rounds", pause), [Guest(), Guest()]
    for each in guests:
        rounds.enter(each)
    until(lambda: 2 in asked)
    for each in guests:
        rounds.leave(each)


def test_the_thread_ends_with_the_last_and_begins_with_the_next() -> None:
    rounds = quick()
    for _ in range(3):
        guest = Guest()
        rounds.enter(guest)
        until(lambda guest=guest: bool(guest.visits))  # type: ignore[misc]
        rounds.leave(guest)
        until(lambda: "rounds" not in {each.name for each in threading.enumerate()})


def test_without_a_thread_nobody_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    rounds, guest, other = quick(), Guest(), Guest()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError):
            rounds.enter(guest)
    rounds.enter(other)
    until(lambda: len(other.visits) > 2)
    assert not guest.visits
    rounds.leave(other)


def test_one_who_breaks_does_not_keep_the_others_from_being_visited(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Guest):
        def visit(self, now: float) -> None:
            raise ValueError

    rounds, broken, other = quick(), Broken(), Guest()
    rounds.enter(broken)
    rounds.enter(other)
    until(lambda: len(other.visits) > 2)
    assert "a visit failed" in caplog.text
    for each in (broken, other):
        rounds.leave(each)
