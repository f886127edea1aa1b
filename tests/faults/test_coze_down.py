"""Coze going down under load, and hanging: it is left alone, it is found again, and nobody waits too long.

Everything runs through the whole gateway on real sockets. `PROMISES_FULL=1` asks more often and for longer.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import quantiles

import pytest

from coze import breaker
from coze.breaker import FAILURES, PAUSE_SECONDS
from handler.message import InboundMessage
from settings import DEVELOPMENT_KEY
from storage.db import Database, now_ms
from storage.sessions import Sessions, find_or_add_dialogue
from tests.faults.conftest import FULL
from tests.faults.doors import bot_of
from tests.rig import Rig
from texts import Texts

pytestmark = pytest.mark.promise

TEXTS = Texts()


# down under load


@dataclass(frozen=True)
class Shot:
    """One question under load, and its answer."""

    sent: float
    took: float
    good: bool
    text: str


@dataclass
class Load:
    """Questions at an even rate, each from another customer, until told to stop."""

    rig: Rig
    rate: float
    shots: list[Future[Shot]] = field(default_factory=list)

    def run(self, enough: Callable[[], bool]) -> None:
        with ThreadPoolExecutor(64) as pool:
            begun = time.monotonic()
            while not enough():
                self.shots.append(pool.submit(self._shoot, len(self.shots)))
                time.sleep(max(0.0, begun + len(self.shots) / self.rate - time.monotonic()))

    def _shoot(self, number: int) -> Shot:
        sent = time.monotonic()
        response = self.rig.post("/api/chat", json={"message": "你好", "user_id": f"customer{number}"})
        assert response.status_code == 200
        answer = response.json()
        text = answer["message"] if answer["success"] else answer["error"]
        return Shot(sent, time.monotonic() - sent, answer["success"], text)


@pytest.mark.timeout(180)
def test_a_coze_that_is_down_is_left_alone_and_its_return_is_noticed(open_rig: Callable[..., Rig]) -> None:
    down_seconds, rate = (60.0, 20.0) if FULL else (15.0, 10.0)
    rig = open_rig(coze_connect_timeout=2.0, coze_read_timeout=10.0)
    bot, coze = bot_of(rig), rig.coze
    calls: list[float] = []
    record = coze.record

    def noting(request: object) -> None:
        calls.append(time.monotonic())
        record(request)  # type: ignore[arg-type]

    coze.record = noting  # type: ignore[method-assign]
    began = time.monotonic()
    goes, returns = began + 1.0, began + 1.0 + down_seconds
    is_down = is_back = False
    closed_again = 0.0

    def enough() -> bool:
        nonlocal is_down, is_back, closed_again
        now = time.monotonic()
        if now >= goes and not is_down:
            is_down = True
            for _ in range(10_000):
                coze.faults.queue("reset", on="chat", after=0)
        if now >= returns and not is_back:
            is_back = True
            coze.faults.clear()
        if is_back and not closed_again and bot.breaker.state == "closed":
            closed_again = now
        return now >= returns + 12 or bool(closed_again and now >= closed_again + 1)

    load = Load(rig, rate)
    load.run(enough)
    shots = [each.result() for each in load.shots]
    calls_down = [each for each in calls if goes <= each < returns]
    opened = calls_down[FAILURES - 1]
    settled = opened + 1.0
    """By now those that were under way together have failed, too."""

    assert all(each.good for each in shots if each.sent < goes - 0.5)
    assert opened - goes < 3
    assert sum(each <= settled for each in calls_down) <= FAILURES + rate
    probes = [each for each in calls_down if each > settled]
    assert down_seconds / PAUSE_SECONDS - 2 <= len(probes) <= down_seconds / PAUSE_SECONDS
    gaps = [later - earlier for earlier, later in pairwise(probes)]
    assert all(gap > PAUSE_SECONDS - 0.5 for gap in gaps)

    resting = [each for each in shots if settled <= each.sent < returns - 1]
    assert len(resting) > rate * (down_seconds - 6)
    assert {each.text for each in resting} == {TEXTS.apology}
    assert quantiles([each.took for each in resting], n=20)[-1] < 0.5

    assert closed_again
    assert closed_again - returns <= 10.5
    assert all(each.good for each in shots if each.sent > closed_again)
    wait_until(lambda: rig.app.extensions["yingda"].handler.running == 0)
    export = rig.get("/api/messages", params={"format": "jsonl"}, headers={"X-Api-Key": DEVELOPMENT_KEY})
    rows = [json.loads(line) for line in export.text.splitlines()]
    assert len(rows) == len(shots)
    assert {row["error_code"] for row in rows} == {None, "coze_disconnected", "coze_resting"}


def wait_until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# hanging
HANGS = (
    "[[slow_first_byte seconds=30]]",
    "[[hang_after_headers]]",
    "[[hang_mid_stream]] [[fault:hang_after_headers on=retrieve]]",
    "[[cut_mid_event]] [[fault:slow_first_byte on=retrieve seconds=30]] [[pace:2]]",
    "[[endless seconds=30]]",
    "[[endless seconds=30]] [[fault:hang_after_headers on=cancel]]",
    "[[delay:30]]",
    "[[bytewise]] [[pace:2]]",
    "[[fault:code code=4016]]",
    "[[fault:http_status status=503]]",
    "[[fault:http_status status=429 retry_after=30]]",
)


class Nobody:
    """A sink that follows no answer."""

    def calling(self) -> bool:
        return True

    def refused(self) -> None: ...

    def named(self, conversation_id: str, chat_id: str, logid: str, owner: str | None) -> None: ...

    def delta(self, text: str) -> None: ...

    def followed(self) -> bool:
        return False


@pytest.mark.timeout(180)
def test_no_call_outlives_its_budget_by_more_than_a_second(
    open_rig: Callable[..., Rig], db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "FAILURES", 1_000_000)
    bot = bot_of(open_rig(coze_read_timeout=60.0, coze_answer_timeout=60.0))
    chance = random.Random(7)
    count = 1_000 if FULL else 99

    def late(number: int, budget: float) -> float:
        message = InboundMessage("web", "default", f"customer{number}", str(number), "x")
        with db.write() as session:
            row = find_or_add_dialogue(session.connection(), message, now_ms())
        dialogue = Sessions(db).get(row)
        deadline = time.monotonic() + budget
        text = f"你好 {HANGS[number % len(HANGS)]}"
        reply = bot.ask(dialogue, text, request_id="req", sink=Nobody(), deadline=deadline)
        assert reply.text
        return time.monotonic() - deadline

    with ThreadPoolExecutor(12) as pool:
        over = list(pool.map(late, range(count), [chance.uniform(0.3, 1.5) for _ in range(count)]))
    # the promise is a second; what is beyond it for a few is this machine's being busy
    assert quantiles(over, n=20)[-1] <= 1.0
    assert max(over) <= 2.0
