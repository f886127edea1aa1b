"""Workers die while people talk to customers: nobody is without an owner or a place, and no line is lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import ENGINES, FULL, Judge
from tests.faults.desk_crew import Crew, examine
from tests.faults.results import Row, collect

KILLS, CUSTOMERS = (50, 9) if FULL else (6, 6)
EVERY = 2.0
"""Seconds between two kills: about what a worker needs to start on a busy machine."""
PAUSE = 0.4
"""Seconds between two lines of customers. No more of them than the queue has room for."""
SEED = 7


@pytest.mark.promise
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_workers_leave_nobody_at_the_desk_alone(
    engine: str, open_cluster: Callable[..., Cluster], judge: Judge
) -> None:
    rng = random.Random(SEED)
    cluster = open_cluster("push", engine)
    customers = [f"customer{number}" for number in range(CUSTOMERS)]
    with Crew(cluster, SEED) as crew:
        for each in customers:
            cluster.say(each, "转人工")
        kills, number, due = 0, 0, time.monotonic() + EVERY
        while kills < KILLS:
            time.sleep(rng.uniform(0.5, 1.5) * PAUSE)
            number += 1
            text = "转人工" if rng.random() < 0.1 else f"顾客第{number}句"
            cluster.say(rng.choice(customers), text)
            if time.monotonic() >= due:
                kills += cluster.kill(rng)
                due = time.monotonic() + rng.uniform(0.5, 1.5) * EVERY
        cluster.listen()
        # the last words may still be answered
        time.sleep(2)
    cluster.settle()
    found = examine(cluster, crew)
    collect(
        Row(
            "E9 desk",
            engine,
            SEED,
            len(cluster.sent) + len(crew.said),
            sum(len(each.result().outcome.tries) for each in cluster.sent),
            kills,
            found.lost,
            found.twice,
            found.in_doubt,
            seconds=round(time.monotonic() - judge.started, 1),
        )
    )
    assert not found.violations, "\n".join(found.violations[:40])
    spoken = sum(crew.said.values())
    assert found.waiting <= spoken / 4, f"{found.waiting} lines wait for their customers"
    assert spoken >= KILLS, f"the agents said no more than {spoken} lines"
