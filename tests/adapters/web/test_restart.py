"""A visitor's stream is cut, and the worker that made the answer dies: the visitor still gets all of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import requests

from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.coze.brain import think
from sandbox.serve import Server
from storage.db import Database
from tests.deploy.test_rolling_restart import gunicorn, until, workers


class Reader:
    """A page that reads one answer, comes back when it is cut, and never takes a piece twice."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.text = ""
        self.last = ""
        self.over = False

    def read(self, most: int = 10_000) -> None:
        """Reads up to `most` frames; a broken connection ends it, too."""
        body = {"message": "说来话长[[pace:0.15]]", "user_id": "a", "message_id": "one"}
        headers = {"Last-Event-ID": self.last} if self.last else {}
        try:
            with requests.post(
                f"{self.url}/api/chat/stream", json=body, headers=headers, stream=True, timeout=(5, 30)
            ) as answer:
                answer.raise_for_status()
                for record in answer.iter_lines(delimiter=b"\n\n", chunk_size=1):
                    lines = dict(each.split(": ", 1) for each in record.decode().splitlines() if ": " in each)
                    if "data" in lines:
                        self._take(json.loads(lines["data"]), lines["id"])
                        if self.over or (most := most - 1) == 0:
                            return
        except requests.RequestException:
            return

    def _take(self, event: dict[str, str], place: str) -> None:
        self.last = place
        self.text += event["content"]
        self.over = event["type"] == "done"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "restarted"])
def test_a_cut_answer_is_completed_without_gap_or_repeat(db: Database, tmp_path: Path, how: int) -> None:
    coze = LocalCoze()
    with (
        Server(create_coze(coze)) as upstream,
        gunicorn(str(db.engine.url), upstream.url, tmp_path / "gunicorn.log") as (process, url),
    ):
        reader = Reader(url)
        reader.read(most=5)
        assert reader.text
        assert not reader.over
        if how == signal.SIGKILL:
            for worker in workers(process.pid):
                os.kill(int(worker), how)
        else:
            process.send_signal(how)
        until(lambda: len(workers(process.pid)) >= 2)
        until(lambda: reader.read() or reader.over, 60)
    assert len(coze.chats) == 1
    assert reader.text == think("说来话长").answer


@pytest.mark.slow
def test_a_worker_that_leaves_ends_the_streams_of_open_pages(db: Database, tmp_path: Path) -> None:
    with (
        Server(create_coze(LocalCoze())) as upstream,
        gunicorn(str(db.engine.url), upstream.url, tmp_path / "gunicorn.log") as (process, url),
    ):
        begun = requests.post(f"{url}/api/conversation/new", timeout=5).json()
        headers = {"Authorization": f"Bearer {begun['token']}"}
        with requests.get(f"{url}/api/events", headers=headers, stream=True, timeout=(5, 12)) as events:
            assert events.raw.read1(1000).startswith(b": listening")
            process.send_signal(signal.SIGHUP)
            # it ends long before its own five minutes, and before the next sign of life
            assert events.raw.read(1000) == b""
