"""The queue: each job done once, whoever dies, on every engine and by any clock."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from handler.message import InboundMessage, Reply
from storage import jobs as jobs_module
from storage.db import Database, now_ms
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.jobs import FIRST_DELAY_MS, KEPT_MS, LONGEST_DELAY_MS, Jobs, enqueue
from storage.models import Job
from tests.race import at_once

LEASE = 300
HOUR = 3_600_000


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return Jobs(db, LEASE)


@pytest.fixture
def shift_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    real = jobs_module.now_ms
    return lambda milliseconds: monkeypatch.setattr(jobs_module, "now_ms", lambda: real() + milliseconds)


def add(db: Database, *keys: str, kind: str = "push", exchange_id: int | None = None) -> None:
    for key in keys:
        db.transact(lambda session, key=key: enqueue(session, kind, key, {"n": key}, exchange_id=exchange_id))


def carried(db: Database) -> int:
    """An exchange whose answer is promised to a job."""
    message = InboundMessage("wechat", "default", "u", str(random.random()), "你好", request_id="trace")
    number = Exchanges(db).claim(message, "owner", 60_000).exchange.id
    Deliveries(db).promise(number, "push")
    Exchanges(db).answer(number, "owner", Reply("x", "coze"), Timing(None, 1))
    return number


def one(jobs: Jobs, owner: str = "me") -> Job:
    [job] = jobs.claim(owner)
    return job


def stored(jobs: Jobs, job: Job) -> Job:
    trouble = jobs.get(job.id)
    assert trouble is not None
    return trouble.job


def exchange(jobs: Jobs, number: int) -> tuple[str, str | None, str | None]:
    row = Exchanges(jobs.db).get(number)
    assert row is not None
    return row.status, row.delivery, row.delivery_error


def recovered(jobs: Jobs, seconds: float = 30.0) -> int:
    """What a runner frees that looks again and again, until it frees something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if count := jobs.recover():
            return count
        time.sleep(0.02)
    return 0


def test_a_job_and_its_cause_are_committed_together_or_not_at_all(jobs: Jobs) -> None:
    def fail(session: Session) -> None:
        enqueue(session, "push", "1")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        jobs.db.transact(fail)
    assert not jobs.is_anything_due()
    add(jobs.db, "1")
    assert jobs.is_anything_due()


def test_the_same_key_of_a_kind_is_the_same_job(jobs: Jobs) -> None:
    add(jobs.db, "1", "1")
    add(jobs.db, "1", kind="mail")
    assert sorted((job.kind, job.key) for job in jobs.claim("me")) == [("mail", "1"), ("push", "1")]


def test_the_same_job_written_at_once_costs_no_caller_its_own_work(jobs: Jobs) -> None:
    def work(number: int) -> int:
        def step(session: Session) -> int:
            enqueue(session, "own", str(number))
            return enqueue(session, "push", "shared").id

        return jobs.db.transact(step)

    numbers = at_once([partial(work, n) for n in range(8)])
    assert len(set(numbers)) == 1
    assert jobs.stats() == {("own", "waiting"): 8, ("push", "waiting"): 1}


def test_four_runners_do_each_of_many_jobs_once(jobs: Jobs) -> None:
    add(jobs.db, *map(str, range(60)))
    done: Counter[str] = Counter()
    lock = threading.Lock()

    def run(name: str) -> None:
        while jobs.is_anything_due():
            for job in jobs.claim(name, 3):
                with lock:
                    done[job.key] += 1
                assert jobs.sending(job)
                assert jobs.done(job)

    at_once([partial(run, f"runner-{n}") for n in range(4)])
    assert done == Counter(map(str, range(60)))
    assert jobs.stats() == {("push", "done"): 60}


def test_the_oldest_job_is_first_and_a_claim_takes_no_more_than_it_wants(jobs: Jobs) -> None:
    add(jobs.db, "a", "b", "c")
    assert [job.key for job in jobs.claim("me", 2)] == ["a", "b"]
    assert [job.key for job in jobs.claim("me", 2)] == ["c"]
    assert jobs.claim("me", 2) == []


def test_each_pause_is_about_twice_as_long_with_jitter_and_an_end(jobs: Jobs) -> None:
    add(jobs.db, "1")
    job = one(jobs)
    for tries, expected in ((1, 1_000), (2, 2_000), (5, 16_000), (10, 512_000), (12, 600_000), (40, 600_000)):
        pauses = set()
        for seed in range(5):
            jobs.db.transact(
                lambda session, tries=tries: session.execute(
                    update(Job).values(status="running", owner="me", tries=tries)
                )
            )
            job.tries = tries
            before = now_ms()
            assert jobs.again(job, "busy", random.Random(seed))
            pause = stored(jobs, job).due_ms - before
            assert 0.75 * expected <= pause <= 1.25 * expected + 2_000
            pauses.add(pause // 10)
        assert len(pauses) > 1
    assert FIRST_DELAY_MS < LONGEST_DELAY_MS
    assert not jobs.is_anything_due()
    assert jobs.claim("me") == []
    assert stored(jobs, job).error == "busy"


def test_a_live_runner_keeps_what_it_renews(jobs: Jobs) -> None:
    add(jobs.db, "1")
    job = one(jobs, "alive")
    other = Jobs(jobs.db, LEASE)
    deadline = time.monotonic() + 4 * LEASE / 1000
    while time.monotonic() < deadline:
        assert jobs.renew("alive", [job.id]) == 1
        assert other.recover() == 0
        time.sleep(jobs.renew_seconds / 4)
    assert jobs.done(job)


def test_what_a_dead_runner_had_not_sent_is_done_again(jobs: Jobs) -> None:
    add(jobs.db, "1")
    lost = one(jobs, "dead")
    assert recovered(jobs) == 1
    job = one(jobs, "next")
    assert (job.id, job.tries) == (lost.id, 2)
    assert not jobs.sending(lost)
    assert not jobs.done(lost)
    assert jobs.done(job)


def test_what_a_dead_runner_was_sending_is_left_in_doubt(jobs: Jobs) -> None:
    number = carried(jobs.db)
    job = one(jobs, "dead")
    assert jobs.sending(job)
    assert recovered(jobs) == 1
    assert jobs.claim("next") == []
    assert stored(jobs, job).status == "in_doubt"
    assert exchange(jobs, number) == ("undelivered", None, "in_doubt")
    assert not jobs.done(job)


def test_of_many_that_free_a_job_one_does(jobs: Jobs) -> None:
    add(jobs.db, "1")
    jobs.sending(one(jobs, "dead"))
    rivals = [Jobs(jobs.db, LEASE) for _ in range(8)]
    time.sleep(LEASE / 1000)
    assert sum(each.recover() for each in rivals) == 0
    time.sleep(LEASE / 1000)
    assert sum(at_once([each.recover for each in rivals])) == 1


def test_the_end_of_a_job_and_its_rescue_at_once_have_one_winner(jobs: Jobs) -> None:
    for n in range(5):
        add(jobs.db, str(n))
        job = one(jobs, "slow")
        jobs.sending(job)
        other = Jobs(jobs.db, LEASE)
        time.sleep(LEASE / 1000)
        other.recover()
        time.sleep(LEASE / 1000)
        done, freed = at_once([lambda job=job: jobs.done(job), lambda other=other: bool(other.recover())])
        assert done is not freed
        assert stored(jobs, job).status == ("done" if done else "in_doubt")


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "back"])
def test_when_the_clock_jumps_nothing_is_lost_and_nothing_stuck(
    jobs: Jobs, shift_clock: Callable[[int], None], jump: int
) -> None:
    add(jobs.db, "alive", "dead", "retried")
    [alive], _dead, [retried] = (jobs.claim(name, 1) for name in ("holder", "dead", "me"))
    jobs.again(retried, "busy")
    add(jobs.db, "fresh")
    shift_clock(jump)
    other = Jobs(jobs.db, LEASE)
    deadline = time.monotonic() + 4 * LEASE / 1000
    while time.monotonic() < deadline:
        jobs.renew("holder", [alive.id])
        other.recover()
        time.sleep(jobs.renew_seconds / 4)
    assert {job.key for job in other.claim("next")} == {"dead", "retried", "fresh"}
    assert jobs.done(alive)


def test_a_leaving_runner_gives_back_what_it_did_not_send(jobs: Jobs) -> None:
    add(jobs.db, "begun", "sent")
    begun, sent = jobs.claim("leaving")
    jobs.sending(sent)
    assert jobs.hand_over("leaving") == 1
    assert [job.id for job in jobs.claim("next")] == [begun.id]
    assert not jobs.sending(begun)
    assert jobs.done(sent)


def test_one_runner_that_got_a_job_twice_counts_once(jobs: Jobs) -> None:
    add(jobs.db, "1")
    first = one(jobs)
    assert recovered(jobs) == 1
    second = one(jobs)
    assert not jobs.sending(first)
    assert not jobs.failed(first, "late")
    assert jobs.sending(second)
    # a long answer goes out in several messages
    assert jobs.sending(second)


def test_the_exchange_learns_how_its_job_ended(jobs: Jobs) -> None:
    ends = [
        (lambda job: jobs.done(job), ("delivered", "push", None)),
        (lambda job: jobs.failed(job, "quota"), ("undelivered", None, "quota")),
        (lambda job: jobs.failed(job, "no answer", doubt=True), ("undelivered", None, "in_doubt")),
        (lambda job: jobs.again(job, "busy"), ("answered", None, None)),
    ]
    for end, expected in ends:
        number = carried(jobs.db)
        assert end(one(jobs))
        assert exchange(jobs, number) == expected


def test_a_job_that_only_refers_to_an_exchange_leaves_its_delivery_alone(jobs: Jobs) -> None:
    number = carried(jobs.db)
    jobs.again(one(jobs), "later")
    add(jobs.db, "1", kind="mail", exchange_id=number)
    jobs.failed(one(jobs), "no such address")
    assert exchange(jobs, number) == ("answered", None, None)


@pytest.mark.parametrize("doubt", [False, True])
def test_an_operator_has_it_sent_again_once(jobs: Jobs, doubt: bool) -> None:
    number = carried(jobs.db)
    job = one(jobs)
    assert not jobs.resend(job.id)
    jobs.failed(job, "quota", doubt=doubt)
    assert sorted(at_once([partial(jobs.resend, job.id)] * 6)) == [False] * 5 + [True]
    assert exchange(jobs, number) == ("answered", None, None)
    again = one(jobs)
    assert (again.id, again.tries) == (job.id, 1)
    jobs.done(again)
    assert exchange(jobs, number) == ("delivered", "push", None)
    assert not jobs.resend(job.id)
    assert not jobs.resend(404)


def test_troubled_jobs_are_listed_with_where_they_come_from(jobs: Jobs) -> None:
    number = carried(jobs.db)
    jobs.failed(one(jobs), "quota")
    add(jobs.db, "lost", kind="mail")
    jobs.failed(one(jobs), "broken", doubt=True)
    add(jobs.db, "fine")
    mail, push = jobs.troubled()
    assert (mail.job.kind, mail.job.status, mail.platform) == ("mail", "in_doubt", None)
    assert (push.job.exchange_id, push.job.error, push.platform, push.trace_id) == (
        number,
        "quota",
        "wechat",
        "trace",
    )
    assert [each.job.id for each in jobs.troubled(limit=1)] == [mail.job.id]
    assert jobs.get(404) is None


def test_jobs_done_more_than_a_day_ago_are_deleted(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "PURGED_AT_ONCE", 2)
    add(jobs.db, *"abcde", "failed")
    *fine, bad = jobs.claim("me")
    for job in fine:
        jobs.done(job)
    jobs.failed(bad, "no")
    add(jobs.db, "waiting")
    assert jobs.purge(now_ms() + KEPT_MS - HOUR) == 0
    assert jobs.purge(now_ms() + KEPT_MS + HOUR) == 5
    assert jobs.stats() == {("push", "failed"): 1, ("push", "waiting"): 1}
