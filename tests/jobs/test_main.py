"""`python -m jobs`: a process of its own that rescues and works on jobs, and leaves cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from handler.message import InboundMessage
from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.serve import Server
from storage.db import Database
from storage.exchanges import Exchanges
from storage.jobs import Jobs, enqueue

ROOT = Path(__file__).parents[2]


@contextmanager
def jobs_process(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command as an operator starts it; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_it_rescues_and_works_and_stops_on_sigterm(db: Database, tmp_path: Path) -> None:
    message = InboundMessage("web", "default", "u", "1", "你好", request_id="trace")
    number = Exchanges(db).claim(message, "dead", 1).exchange.id
    db.transact(lambda session: enqueue(session, "unknown", "1"))
    with Server(create_coze(LocalCoze())) as coze:
        environment = {
            "DATABASE_URL": str(db.engine.url),
            "COZE_API_BASE": coze.url,
            "COZE_API_TOKEN": "pat_yingda-sandbox",
            "COZE_BOT_ID": "7000000000000000001",
        }
        with jobs_process(tmp_path, **environment) as process:
            until(lambda: Jobs(db).stats() == {("unknown", "failed"): 1})
            until(lambda: (row := Exchanges(db).get(number)) is not None and row.status == "answered")
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert {line["level"] for line in lines} <= {"INFO", "WARNING", "ERROR"}
    assert "stopped" in lines[-1]["message"]


def test_settings_that_cannot_work_end_it_with_their_names(tmp_path: Path) -> None:
    with jobs_process(tmp_path, APP_ENV="production") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "COZE_API_TOKEN is missing" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("wanted", [True, False])
def test_a_web_process_works_on_jobs_unless_others_do(
    make_gateway: Callable[..., Flask], db: Database, wanted: bool
) -> None:
    yingda = make_gateway(run_jobs=wanted).extensions["yingda"]
    db.transact(lambda session: enqueue(session, "unknown", "1"))
    yingda.start()
    try:
        if wanted:
            until(lambda: Jobs(db).stats() == {("unknown", "failed"): 1})
        else:
            time.sleep(1.0)
            assert Jobs(db).stats() == {("unknown", "waiting"): 1}
    finally:
        yingda.close()
