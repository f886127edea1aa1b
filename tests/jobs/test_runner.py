"""The runner: does jobs side by side, knows each end by its exception, and looks after the dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from errors import Behind, InDoubt, NotNow, Unavailable, Undeliverable
from jobs import runner as runner_module
from jobs.runner import AT_ONCE, TRIES, Runner, Task
from storage import jobs as jobs_module
from storage.db import Database
from storage.jobs import Jobs, enqueue
from storage.models import Job

LEASE_MS = 300


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


class Mail:
    """A task that does what the test says, and remembers what it was given."""

    def __init__(self, end: Callable[[Callable[[], None]], object] = lambda sending: None) -> None:
        self.end = end
        self.done: list[str] = []

    def __call__(self, job: Job, sending: Callable[[], None]) -> None:
        self.done.append(job.key)
        self.end(sending)


@pytest.fixture
def start(db: Database) -> Iterator[Callable[..., Runner]]:
    made: list[Runner] = []

    def make(
        task: Task,
        *chores: Callable[[], object],
        name: str = "me",
        begin: bool = True,
        lease_ms: int = LEASE_MS,
    ) -> Runner:
        runner = Runner(Jobs(db, lease_ms), {"mail": task}, chores, name, poll=0.02)
        made.append(runner)
        if begin:
            runner.start()
        return runner

    yield make
    for runner in made:
        runner.stop()


def add(db: Database, *keys: str, kind: str = "mail") -> None:
    for key in keys:
        db.transact(lambda session, key=key: enqueue(session, kind, key))


def stored(db: Database) -> Job:
    found = Jobs(db).get(1)
    assert found is not None
    return found.job


def raising(error: Exception) -> Callable[[Callable[[], None]], object]:
    def end(sending: Callable[[], None]) -> None:
        raise error

    return end


def sent_and_raising(error: Exception) -> Callable[[Callable[[], None]], object]:
    def end(sending: Callable[[], None]) -> None:
        sending()
        raise error

    return end


def test_every_job_is_done_once_by_several_runners(db: Database, start: Callable[..., Runner]) -> None:
    task = Mail(lambda sending: sending())
    add(db, *map(str, range(40)))
    for number in range(4):
        start(task, name=f"runner-{number}", lease_ms=15_000)
    until(lambda: Jobs(db).stats() == {("mail", "done"): 40}, seconds=30)
    assert sorted(task.done, key=int) == [str(n) for n in range(40)]


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        (lambda sending: None, "done", None),
        (lambda sending: sending(), "done", None),
        (raising(NotNow("busy")), "waiting", "busy"),
        (
            sent_and_raising(NotNow("refused before anything was done")),
            "waiting",
            "refused before anything was done",
        ),
        (raising(Undeliverable("quota")), "failed", "quota"),
        (raising(InDoubt("no answer")), "in_doubt", "no answer"),
        (raising(Unavailable("away")), "waiting", "Unavailable"),
        (raising(RuntimeError("a bug")), "waiting", "RuntimeError"),
        (sent_and_raising(Undeliverable("quota")), "failed", "quota"),
        (sent_and_raising(RuntimeError("a bug")), "in_doubt", "RuntimeError"),
        (sent_and_raising(Unavailable("away")), "in_doubt", "Unavailable"),
    ],
)
def test_how_a_task_ends_decides_what_becomes_of_the_job(
    db: Database,
    start: Callable[..., Runner],
    end: Callable[[Callable[[], None]], object],
    status: str,
    error: str | None,
) -> None:
    add(db, "1")
    runner = start(Mail(end), begin=False)
    [job] = runner.jobs.claim("me")
    runner.do(job)
    assert (stored(db).status, stored(db).error, stored(db).tries) == (status, error, 1)


def test_to_wait_for_another_job_uses_up_no_try(
    db: Database, start: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "FIRST_DELAY_MS", 1)
    add(db, "1")
    waits = iter(range(3 * TRIES))

    def end(_sending: Callable[[], None]) -> None:
        if next(waits, None) is not None:
            raise Behind("another goes first")
        if not ended:
            ended.append("a real try")
            raise NotNow("busy")

    ended: list[str] = []
    task = Mail(end)
    start(task)
    until(lambda: stored(db).status == "done", seconds=30)
    assert (len(task.done), stored(db).tries) == (3 * TRIES + 2, 3 * TRIES + 2)


def test_a_job_of_an_unknown_kind_fails_visibly(db: Database, start: Callable[..., Runner]) -> None:
    add(db, "1", kind="telegram")
    start(Mail())
    until(lambda: stored(db).status == "failed")
    assert "telegram" in (stored(db).error or "")


def test_a_job_is_tried_again_until_its_tries_are_used_up(
    db: Database, start: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "FIRST_DELAY_MS", 1)
    monkeypatch.setattr(jobs_module, "LONGEST_DELAY_MS", 1)
    task = Mail(raising(NotNow("busy")))
    add(db, "1")
    start(task)
    until(lambda: stored(db).status == "failed")
    assert len(task.done) == TRIES
    assert stored(db).error == "busy"


def test_a_job_that_takes_every_runner_along_is_given_up(db: Database, start: Callable[..., Runner]) -> None:
    add(db, "1")
    jobs = Jobs(db)
    for number in range(TRIES):
        assert jobs.claim(f"died-{number}")
        jobs.hand_over(f"died-{number}")
    task = Mail()
    start(task)
    until(lambda: stored(db).status == "failed")
    assert task.done == []


def test_a_slow_job_holds_up_neither_others_nor_the_chores(
    db: Database, start: Callable[..., Runner]
) -> None:
    go, chores = threading.Event(), []

    def end(job: Job, sending: Callable[[], None]) -> None:
        if job.key == "slow":
            assert go.wait(10)
        done.append(job.key)

    done: list[str] = []
    add(db, "slow", *map(str, range(2 * AT_ONCE)))
    runner = start(end, lambda: chores.append(1))
    until(lambda: len(done) == 2 * AT_ONCE)
    seen = len(chores)
    until(lambda: len(chores) > seen + 2)
    # longer than a lease: it is renewed meanwhile
    time.sleep(2 * LEASE_MS / 1000)
    assert Jobs(db, LEASE_MS).recover() == 0
    go.set()
    until(lambda: "slow" in done)
    runner.stop()
    assert Jobs(db).stats() == {("mail", "done"): 2 * AT_ONCE + 1}


def test_a_failing_chore_keeps_no_job_from_being_done(db: Database, start: Callable[..., Runner]) -> None:
    def broken() -> None:
        raise RuntimeError

    def away() -> None:
        raise Unavailable

    start(Mail(), broken, away)
    add(db, "1")
    until(lambda: stored(db).status == "done")


def test_the_end_of_a_job_is_recorded_when_the_database_is_back(
    db: Database, start: Callable[..., Runner]
) -> None:
    runner = start(Mail(lambda sending: sending()), begin=False)
    real, tried = runner.jobs.done, []

    def away_at_first(job: Job) -> bool:
        tried.append(job)
        if len(tried) < 3:
            raise Unavailable
        return real(job)

    with mock.patch.object(runner.jobs, "done", away_at_first):
        add(db, "1")
        runner.start()
        until(lambda: stored(db).status == "done")
    assert len(tried) == 3


def test_a_runner_taken_for_dead_does_not_send(db: Database, start: Callable[..., Runner]) -> None:
    go, sent = threading.Event(), []

    def slow(sending: Callable[[], None]) -> None:
        assert go.wait(10)
        sending()
        sent.append("first")

    stalled = start(Mail(slow), name="stalled")
    with mock.patch.object(stalled.jobs, "renew"), mock.patch.object(stalled.jobs, "recover"):
        add(db, "1")
        until(lambda: stored(db).status == "running")
        second = Mail(lambda sending: sending())
        start(second, name="second")
        until(lambda: stored(db).status == "done")
        go.set()
        stalled.stop()
    assert (sent, second.done) == ([], ["1"])


def test_a_stopped_runner_finishes_what_it_has_and_takes_no_more(
    db: Database, start: Callable[..., Runner]
) -> None:
    go = threading.Event()
    task = Mail(lambda sending: go.wait(10))
    add(db, "1")
    runner = start(task)
    until(lambda: task.done)
    threading.Timer(0.1, go.set).start()
    runner.stop()
    add(db, "2")
    time.sleep(0.1)
    assert task.done == ["1"]
    assert Jobs(db).stats() == {("mail", "done"): 1, ("mail", "waiting"): 1}


def test_a_runner_that_cannot_wait_gives_its_job_back(db: Database, start: Callable[..., Runner]) -> None:
    go = threading.Event()
    task = Mail(lambda sending: go.wait(10))
    add(db, "1")
    runner = start(task)
    until(lambda: task.done)
    runner.stop(patience=0.05)
    assert [job.key for job in Jobs(db).claim("next")] == ["1"]
    go.set()
    runner.stop()


def test_stopping_what_never_ran_is_fine(start: Callable[..., Runner]) -> None:
    start(Mail(), begin=False).stop()


def test_a_wake_up_is_not_lost(db: Database, start: Callable[..., Runner]) -> None:
    runner = start(Mail(), begin=False)
    runner.poll = 60.0
    runner.start()
    for number in range(5):
        add(db, str(number))
        runner.wake()
        until(lambda number=number: Jobs(db).stats().get(("mail", "done")) == number + 1, seconds=5)


def test_done_jobs_are_purged_at_most_once_in_the_while(
    db: Database, start: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "KEPT_MS", -1_000)
    add(db, "1")
    runner = start(Mail())
    until(lambda: Jobs(db).stats() == {("mail", "done"): 1})
    time.sleep(0.1)
    assert Jobs(db).stats() == {("mail", "done"): 1}, (
        "it has looked when it began, and looks again in an hour"
    )
    runner.stop()
    monkeypatch.setattr(runner_module, "PURGE_SECONDS", 0.1)
    start(Mail(), name="another")
    until(lambda: Jobs(db).stats() == {})
