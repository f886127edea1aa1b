"""gunicorn restarts its workers, and then ends, while customers write and read: nobody notices."""

from __future__ import annotations

import json
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.serve import Server
from storage.db import Database
from storage.models import Exchange
from tests.deploy.served import gunicorn, until

STREAMS = 10


def workers(master: int) -> set[str]:
    return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())


def stream(url: str, number: int, opened: threading.Semaphore) -> str:
    """Reads one streamed answer to its end; what the last frame says it was."""
    asked = {"message": f"流{number}[[pace:0.15]]"}
    with requests.post(f"{url}/api/chat/stream", json=asked, stream=True, timeout=(5, 30)) as answer:
        answer.raise_for_status()
        opened.release()
        frames = [line.removeprefix(b"data: ") for line in answer.iter_lines() if line.startswith(b"data: ")]
    kind: str = json.loads(frames[-1])["type"]
    return kind


def ask(url: str, number: int) -> str:
    answer = requests.post(f"{url}/api/chat", json={"message": f"第{number}条"}, timeout=(5, 30))
    return "" if answer.ok and answer.json()["success"] else f"{answer.status_code}: {answer.text}"


@pytest.mark.slow
def test_a_restart_and_a_stop_refuse_nobody_and_lose_nothing(db: Database, tmp_path: Path) -> None:
    log = tmp_path / "gunicorn.log"
    opened, over = threading.Semaphore(0), threading.Event()

    def open_streams(pool: ThreadPoolExecutor, url: str) -> list[Future[str]]:
        readers = [pool.submit(stream, url, number, opened) for number in range(STREAMS)]
        for _ in readers:
            assert opened.acquire(timeout=10)
        return readers

    def write(url: str) -> list[str]:
        wrong, number = [], 0
        while not over.wait(0.1):
            wrong.append(ask(url, number))
            number += 1
        return [each for each in wrong if each]

    with (
        Server(create_coze(LocalCoze())) as coze,
        gunicorn(str(db.engine.url), coze.url, log) as (process, url),
        ThreadPoolExecutor(2 * STREAMS + 2) as pool,
    ):
        before = workers(process.pid)
        assert len(before) == 2
        across_the_restart = open_streams(pool, url)
        writer = pool.submit(write, url)
        time.sleep(0.5)
        process.send_signal(signal.SIGHUP)
        assert [each.result() for each in across_the_restart] == ["done"] * STREAMS
        until(lambda: len(workers(process.pid)) == 2 and not workers(process.pid) & before)
        across_the_stop = open_streams(pool, url)
        over.set()
        assert writer.result() == []
        process.send_signal(signal.SIGTERM)
        assert [each.result() for each in across_the_stop] == ["done"] * STREAMS
        assert process.wait(30) == 0
    with db.read() as session:
        states = set(session.scalars(select(Exchange.status).distinct()))
    assert states == {"delivered"}, log.read_text()[-2_000:]
    assert b"Traceback" not in log.read_bytes()
