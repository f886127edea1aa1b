"""Workers die while messages arrive: nothing is lost, nothing is said twice, and what is on disk is whole."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.wechat import Outcome
from tests.faults.cluster import Cluster, Strategy, thaw
from tests.faults.conftest import ENGINES, FULL, Judge
from tests.faults.results import Row, collect

AMOUNT = {"push": (1000, 200), "hold": (1000, 200)} if FULL else {"push": (150, 30), "hold": (60, 12)}
"""Messages and kills."""
SEED = 1
EVERY = 2.0
"""Seconds between two kills: about what a worker needs to start on a busy machine."""


@dataclass
class Copies:
    """Copies of the database's files as a power cut would leave them, with what was acknowledged by then."""

    cluster: Cluster
    folder: Path
    made: list[tuple[Path, list[Outcome]]] = field(default_factory=list)

    def make(self) -> None:
        acknowledged = list(self.cluster.wechat.outcomes)
        frozen = self.cluster.freeze()
        try:
            copy = self.folder / f"copy{len(self.made)}.db"
            for ending in ("", "-wal"):
                shutil.copy(f"{self.cluster.folder / 'test.db'}{ending}", f"{copy}{ending}")
        finally:
            thaw(frozen)
        self.made.append((copy, acknowledged))

    def check(self) -> list[str]:
        return [problem for copy, acknowledged in self.made for problem in problems(copy, acknowledged)]


def problems(copy: Path, acknowledged: list[Outcome]) -> list[str]:
    """What is wrong with this copy of the database, in words."""
    with closing(sqlite3.connect(copy)) as connection:
        (state,) = connection.execute("PRAGMA integrity_check").fetchone()
        found = [] if state == "ok" else [f"{copy.name}: {state}"]
        rows = connection.execute(
            "SELECT user_id, json_extract(raw, '$.MsgId'), answer FROM exchanges"
        ).fetchall()
    kept = {(openid, message) for openid, message, _ in rows}
    for each in acknowledged:
        if each.notice:
            continue
        if (each.openid, each.msg_id) not in kept:
            found.append(f"{copy.name}: message {each.msg_id} was acknowledged and is not there")
        for bubble in each.bubbles:
            # an earlier answer of the same customer may have come along
            unknown = bubble.text
            for answer in (answer for openid, _, answer in rows if openid == each.openid and answer):
                unknown = unknown.replace(answer, "")
            if "本地沙箱" in unknown:
                found.append(f"{copy.name}: the answer to message {each.msg_id} was given and is not there")
    return found


def question(rng: random.Random, number: int) -> str:
    """A question of its own that Coze thinks about for a while."""
    return f"第{number}问[[delay:{rng.choice((0, 0, 0.5, 1, 2, 4, 7)):g}]]"


@pytest.mark.promise
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("strategy", ["push", "hold"])
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_workers_lose_nothing_and_say_nothing_twice(
    engine: str,
    strategy: Strategy,
    open_cluster: Callable[..., Cluster],
    judge: Judge,
    tmp_path: Path,
) -> None:
    messages, kill_limit = AMOUNT[strategy]
    rng = random.Random(SEED)
    cluster = open_cluster(strategy, engine)
    copies = Copies(cluster, tmp_path)
    over = threading.Event()
    kills = 0

    def customers() -> None:
        arrivals = random.Random(SEED)
        for number in range(messages):
            cluster.say(f"customer{arrivals.randrange(messages // 2)}", question(arrivals, number))
            over.wait(arrivals.expovariate(messages / (kill_limit * EVERY)))

    writing = threading.Thread(target=customers)
    writing.start()
    try:
        while kills < kill_limit:
            time.sleep(rng.uniform(0.5, 1.5) * EVERY)
            kills += cluster.kill(rng)
            if engine == "sqlite":
                copies.make()
    finally:
        writing.join()
    cluster.settle()
    judge("E1 killed workers", f"{engine}, {strategy}", cluster.history(), faults=kills, seed=SEED)
    if copies.made:
        wrong = copies.check()
        kept = Row(
            "E8 power cut", f"{engine}, {strategy}", SEED, messages, faults=len(copies.made), lost=len(wrong)
        )
        collect(kept)
        assert wrong == []
