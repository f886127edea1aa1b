"""Calls that come together: who is served with whom, and who hears what when it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from errors import Unavailable
from storage.breaker import Busy
from storage.patience import seconds_left, within
from storage.together import MOST, Together

PATIENCE = 20.0


class Bank:
    """Squares numbers; the first set stays in until it is let out."""

    def __init__(self, fail: Callable[[Sequence[int]], None] = lambda numbers: None) -> None:
        self.inside = threading.Event()
        self.let_out = threading.Event()
        self.alone: list[int] = []
        self.sets: list[list[int]] = []
        self._fail = fail
        self.together = Together(self._alone, self._all)

    def _alone(self, number: int) -> int:
        self.alone.append(number)
        if number < 0:
            raise ValueError(number)
        return number**2

    def _all(self, numbers: Sequence[int]) -> Sequence[int | None]:
        if not self.inside.is_set():
            self.inside.set()
            assert self.let_out.wait(PATIENCE)
        else:
            self.sets.append([*numbers])
            self._fail(numbers)
        return [number**2 if number else None for number in numbers]

    def keep_busy(self, pool: ThreadPoolExecutor) -> Future[int]:
        """Somebody is at work from now on, so that those who come have to wait."""
        first = pool.submit(self.together, 100)
        assert self.inside.wait(PATIENCE)
        return first

    def ask(self, pool: ThreadPoolExecutor, *numbers: int) -> list[Future[int]]:
        """Asks for each in turn; returns when all of them wait."""
        asked = []
        for number in numbers:
            waiting = len(self.together._waiting)
            asked.append(pool.submit(self.together, number))
            until(lambda before=waiting: len(self.together._waiting) > before)  # type: ignore[misc]
        return asked


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2 * MOST)


def test_who_comes_alone_is_served_at_once() -> None:
    bank = Bank()
    bank.inside.set()
    assert [bank.together(number) for number in (1, 2, 3)] == [1, 4, 9]
    assert bank.sets == [[1], [2], [3]]
    assert not bank.alone


def test_who_comes_meanwhile_is_served_with_the_others_in_order(pool: ThreadPoolExecutor) -> None:
    bank = Bank()
    first = bank.keep_busy(pool)
    rest = bank.ask(pool, 3, 1, 2)
    bank.let_out.set()
    assert [each.result(PATIENCE) for each in (first, *rest)] == [10_000, 9, 1, 4]
    assert bank.sets == [[3, 1, 2]]
    # and when all are gone somebody else begins again
    until(lambda: not bank.together._at_work)
    assert bank.together(5) == 25
    assert bank.sets == [[3, 1, 2], [5]]


def test_a_crowd_is_served_in_sets(pool: ThreadPoolExecutor) -> None:
    bank = Bank()
    bank.keep_busy(pool)
    rest = bank.ask(pool, *range(1, MOST + 11))
    bank.let_out.set()
    assert [each.result(PATIENCE) for each in rest] == [n**2 for n in range(1, MOST + 11)]
    assert [len(each) for each in bank.sets] == [MOST, 10]


def test_what_cannot_be_done_together_is_done_alone(pool: ThreadPoolExecutor) -> None:
    bank = Bank()
    bank.keep_busy(pool)
    rest = bank.ask(pool, 1, 0, 2)
    bank.let_out.set()
    assert [each.result(PATIENCE) for each in rest] == [1, 0, 4]
    assert bank.alone == [0]


def test_one_bad_item_harms_no_other(pool: ThreadPoolExecutor) -> None:
    def refuse(numbers: Sequence[int]) -> None:
        if min(numbers) < 0:
            raise ValueError(numbers)

    bank = Bank(refuse)
    bank.keep_busy(pool)
    rest = bank.ask(pool, 1, -1, 2)
    bank.let_out.set()
    assert rest[0].result(PATIENCE) == 1
    assert isinstance(rest[1].exception(PATIENCE), ValueError)
    assert rest[2].result(PATIENCE) == 4
    assert sorted(bank.alone) == [-1, 1, 2]


@pytest.mark.parametrize("kind", [Unavailable, Busy])
def test_a_database_that_is_away_is_away_for_all(pool: ThreadPoolExecutor, kind: type[Unavailable]) -> None:
    def fail(_numbers: Sequence[int]) -> None:
        raise kind("the database is gone")

    bank = Bank(fail)
    bank.keep_busy(pool)
    rest = bank.ask(pool, 1, 2)
    bank.let_out.set()
    for each in rest:
        problem = each.exception(PATIENCE)
        assert type(problem) is kind
        assert str(problem) == "the database is gone"
    assert not bank.alone


def test_who_loses_patience_while_waiting_is_not_served(pool: ThreadPoolExecutor) -> None:
    bank = Bank()
    bank.keep_busy(pool)
    with within(0.05), pytest.raises(Busy):
        bank.together(7)
    rest = bank.ask(pool, 2)
    bank.let_out.set()
    assert rest[0].result(PATIENCE) == 4
    assert bank.sets == [[2]]


def test_nobody_waits_for_a_thread_that_has_died(pool: ThreadPoolExecutor) -> None:
    def die(_numbers: Sequence[int]) -> None:
        raise SystemExit

    bank = Bank(die)
    bank.keep_busy(pool)
    rest = bank.ask(pool, 1, 2)
    bank.let_out.set()
    assert [each.result(PATIENCE) for each in rest] == [1, 4]
    until(lambda: not bank.together._at_work)
    # nor for a caller that ends while it serves itself
    with pytest.raises(SystemExit):
        bank.together(3)
    assert not bank.together._at_work


def test_who_has_more_time_than_the_caller_that_serves_goes_on_alone(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, sleep = threading.Event(), time.sleep
    # nobody is served until both are there
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds) if seconds else gate.wait(PATIENCE))
    sets: list[Sequence[int]] = []
    alone: list[int] = []

    def hang(numbers: Sequence[int]) -> Sequence[int | None]:
        sets.append(numbers)
        sleep(seconds_left(PATIENCE))
        raise Busy("the database is busy")

    def single(number: int) -> int:
        alone.append(number)
        return number**2

    together: Together[int, int] = Together(single, hang)

    def ask(number: int, seconds: float) -> int:
        with within(seconds):
            return together(number)

    first = pool.submit(ask, 1, 0.5)
    until(lambda: len(together._waiting) == 1)
    second = pool.submit(ask, 2, PATIENCE)
    until(lambda: len(together._waiting) == 2)
    gate.set()
    assert isinstance(first.exception(PATIENCE), Busy)
    assert second.result(PATIENCE) == 4
    assert (sets, alone) == ([[1, 2]], [2])


def test_a_group_may_take_as_long_as_its_most_patient_member(pool: ThreadPoolExecutor) -> None:
    left: list[float] = []

    def look(_numbers: Sequence[int]) -> None:
        left.append(seconds_left(60.0))

    bank = Bank(look)
    bank.keep_busy(pool)

    def ask(seconds: float) -> int:
        with within(seconds):
            return bank.together(2)

    rest = [pool.submit(ask, seconds) for seconds in (3.0, 8.0)]
    until(lambda: len(bank.together._waiting) == 2)
    bank.let_out.set()
    assert [each.result(PATIENCE) for each in rest] == [4, 4]
    assert 3.0 < left[0] <= 8.0
