"""`flask jobs`: an operator sees what went wrong and may have it sent again, knowing what that may do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask

from handler.message import InboundMessage, Reply
from storage import jobs as jobs_module
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.jobs import Jobs, enqueue


@pytest.fixture
def flask(make_gateway: Callable[..., Flask]) -> Callable[..., Result]:
    app = make_gateway()
    return lambda *words, **options: app.test_cli_runner().invoke(args=["jobs", *words], **options)


@pytest.fixture
def trouble(db: Database) -> Callable[..., int]:
    """Makes a push that failed, or is in doubt; the job's number."""

    def make(reason: str, doubt: bool = False) -> int:
        message = InboundMessage("wechat", "default", "u", reason, "你好", request_id="trace-of-it")
        number = Exchanges(db).claim(message, "owner", 60_000).exchange.id
        Deliveries(db).promise(number, "push")
        Exchanges(db).answer(number, "owner", Reply("x", "coze"), Timing(None, 1))
        [job] = Jobs(db).claim("me")
        Jobs(db).failed(job, reason, doubt=doubt)
        return job.id

    return make


def test_without_trouble_the_list_says_so(flask: Callable[..., Result], db: Database) -> None:
    db.transact(lambda session: enqueue(session, "push", "1"))
    result = flask("list")
    assert (result.exit_code, result.output) == (0, "No job needs attention.\n")


def test_the_list_tells_what_a_person_must_know(
    flask: Callable[..., Result], trouble: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = trouble("quota"), trouble("no answer came", doubt=True)
    real = jobs_module.now_ms
    monkeypatch.setattr("ops.jobs_cli.now_ms", lambda: real() + 3 * 3_600_000 + 60_000)
    lines = flask("list").output.splitlines()
    assert lines == [
        f"{second}: push in_doubt for 3 h, exchange 2 on wechat, trace trace-of-it: no answer came",
        f"{first}: push failed for 3 h, exchange 1 on wechat, trace trace-of-it: quota",
    ]
    assert "--limit" in flask("list", "--limit", "1").output


def test_a_failed_job_is_sent_again_after_a_yes(
    flask: Callable[..., Result], trouble: Callable[..., int], db: Database
) -> None:
    number = trouble("quota")
    refused = flask("resend", str(number), input="n\n")
    assert refused.exit_code == 1
    assert "twice" not in refused.output
    assert not Jobs(db).is_anything_due()
    assert flask("resend", str(number), input="y\n").exit_code == 0
    assert Jobs(db).is_anything_due()


def test_of_one_in_doubt_it_is_said_that_it_may_arrive_twice(
    flask: Callable[..., Result], trouble: Callable[..., int], db: Database
) -> None:
    number = trouble("no answer came", doubt=True)
    asked = flask("resend", str(number), input="n\n")
    assert "gets the same message twice" in asked.output
    assert not Jobs(db).is_anything_due()
    told = flask("resend", str(number), "--yes")
    assert told.exit_code == 0
    assert "gets the same message twice" in told.output
    assert Jobs(db).is_anything_due()


def test_what_is_not_in_trouble_is_not_sent_again(flask: Callable[..., Result], db: Database) -> None:
    job = db.transact(lambda session: enqueue(session, "push", "1"))
    waiting = flask("resend", str(job.id), "--yes")
    assert waiting.exit_code == 1
    assert "is waiting" in waiting.output
    missing = flask("resend", "404", "--yes")
    assert missing.exit_code == 1
    assert "no job 404" in missing.output


def test_jobs_are_counted_by_kind_and_status(
    flask: Callable[..., Result], trouble: Callable[..., int], db: Database
) -> None:
    assert flask("stats").output == "There are no jobs.\n"
    trouble("quota")
    trouble("other")
    db.transact(lambda session: enqueue(session, "mail", "1"))
    found = [line.split() for line in flask("stats").output.splitlines()]
    assert found == [["mail", "waiting", "1"], ["push", "failed", "2"]]
