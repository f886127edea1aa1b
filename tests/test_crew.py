"""Threads that stay for the next task: used again, never more than wanted, and not ended by what fails."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from unittest import mock

import pytest

from crew import Crew

PATIENCE = 20.0


def until(met: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def threads(name: str) -> int:
    return sum(each.name == name for each in threading.enumerate())


def test_a_thread_that_is_free_takes_the_next_task() -> None:
    crew, seen = Crew("again", kept=1), []
    for _ in range(5):
        crew.begin(lambda: seen.append(threading.get_ident()))
        until(lambda: not crew.busy)
    assert len(seen) == 5
    assert len(set(seen)) == 1


def test_tasks_at_once_have_a_thread_each_and_no_more_stay_than_wanted() -> None:
    crew, go = Crew("many", kept=2), threading.Event()
    inside = threading.Semaphore(0)

    def wait() -> None:
        inside.release()
        assert go.wait(PATIENCE)

    for _ in range(6):
        crew.begin(wait)
    for _ in range(6):
        assert inside.acquire(timeout=PATIENCE)
    assert crew.busy == 6
    go.set()
    until(lambda: threads("many") == 2)
    assert crew.busy == 0


def test_a_task_that_fails_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    crew, done = Crew("failing", kept=1), threading.Event()
    crew.begin(lambda: 1 / 0)
    until(lambda: not crew.busy)
    crew.begin(done.set)
    assert done.wait(PATIENCE)
    assert "a task failed" in caplog.text


def test_without_a_thread_nothing_is_begun() -> None:
    crew = Crew("none", kept=1)
    with (
        mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")),
        pytest.raises(RuntimeError),
    ):
        crew.begin(lambda: None)
    assert crew.busy == 0
    done = threading.Event()
    crew.begin(done.set)
    assert done.wait(PATIENCE)


def test_what_a_task_held_is_let_go_when_it_ends() -> None:
    class Held:
        pass

    crew, held, gone = Crew("holding", kept=1), Held(), threading.Event()
    weakref.finalize(held, gone.set)
    crew.begin(lambda held=held: None)
    del held
    assert gone.wait(PATIENCE)
