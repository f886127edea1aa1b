"""A deployment restarts the workers while customers write and read."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from sandbox.wechat import Rule
from tests.faults.cluster import Cluster
from tests.faults.conftest import FULL, Judge

RESTARTS = 20 if FULL else 3
EVERY = 5.0
"""Seconds between two restarts."""
RATE = 10.0
"""Messages a second."""
STREAMS = 20


def read_stream(url: str, number: int) -> str:
    """Reads one streamed answer; returns what was wrong with it, or an empty string."""
    asked = f"流{number}[[pace:0.08]]"
    try:
        with requests.post(
            f"{url}/api/chat/stream", json={"message": asked}, stream=True, timeout=(5, 20)
        ) as answer:
            if answer.status_code != 200:
                return f"stream {number}: status {answer.status_code}"
            lines = [line.removeprefix("data: ") for line in answer.iter_lines(decode_unicode=True) if line]
    except requests.RequestException as problem:
        return f"stream {number}: {type(problem).__name__}"
    events = [json.loads(each) for each in lines if each.startswith("{")]
    words = "".join(each["content"] for each in events if each["type"] == "message")
    if not events or events[-1]["type"] != "done" or f"流{number}" not in words:
        return f"stream {number}: ended with {lines[-1:]} after {words!r}"
    return ""


@pytest.mark.promise
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_rolling_restart_refuses_nobody_and_cuts_no_stream(
    open_cluster: Callable[..., Cluster], judge: Judge
) -> None:
    cluster = open_cluster("hold")
    over = threading.Event()

    def reader(place: int) -> list[str]:
        found, number = [], place
        while not over.is_set():
            found.append(read_stream(cluster.url, number))
            number += STREAMS
        return [each for each in found if each]

    def customers() -> None:
        number = 0
        while not over.wait(1 / RATE):
            cluster.say(f"customer{number}", f"第{number}问[[delay:{number % 3}]]")
            number += 1

    with ThreadPoolExecutor(STREAMS) as pool:
        readers = [pool.submit(reader, place) for place in range(STREAMS)]
        writing = threading.Thread(target=customers)
        writing.start()
        try:
            for _ in range(RESTARTS):
                time.sleep(EVERY)
                cluster.reload()
            time.sleep(EVERY)
        finally:
            over.set()
            writing.join()
        broken = [each for one in readers for each in one.result()]
    cluster.settle()
    history = cluster.history()
    wechat = [each for each in history.exchanges if each.platform == "wechat"]
    history.exchanges = wechat
    judge("E6 rolling restart", f"{STREAMS} streams", history, faults=RESTARTS)
    assert broken == []
    refused = [one for each in history.sent for one in each.outcome.tries if one.rule is Rule.LOST]
    assert not refused, f"{len(refused)} deliveries were refused or cut: {refused[0].problem}"
