"""With one guard of the gateway taken out a promise is broken, and the checker says which."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.cluster import Cluster, thaw
from tests.faults.invariants import check

FROZEN_SECONDS = 10.0
"""Longer than a lease and the time to take it over."""


def hesitate(cluster: Cluster) -> list[str]:
    """A short run in which nothing goes wrong but Coze takes its time; returns the violations."""
    for number in range(8):
        cluster.say(f"customer{number}", f"第一{number}问[[fault:slow_first_byte seconds=3]]")
    cluster.settle(timeout=70)
    history = cluster.history()
    history.faults = 0
    return check(history)


def stumble(cluster: Cluster) -> list[str]:
    """A short run in which workers freeze and die; returns the violations."""
    for number in range(12):
        cluster.say(f"visitor{number}", f"第{number}问[[delay:{number % 4 * 3}]]")
    time.sleep(1.5)
    frozen = cluster.freeze(cluster.workers()[0])
    time.sleep(FROZEN_SECONDS)
    thaw(frozen)
    # so many that the worker that dies has some of them
    for number in range(12, 24):
        cluster.say(f"visitor{number}", f"第{number}问[[delay:3]]")
    time.sleep(1.5)
    cluster.kill(random.Random(1))
    cluster.settle(timeout=70)
    return check(cluster.history())


@pytest.mark.promise
@pytest.mark.timeout(300)
def test_frozen_and_killed_workers_break_no_promise(open_cluster: Callable[..., Cluster]) -> None:
    cluster = open_cluster("hold")
    assert hesitate(cluster) == []
    assert stumble(cluster) == []


@pytest.mark.promise
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("guard", "run", "noticed"),
    [
        ("unique_key", stumble, "sent 1 times and logged"),
        ("lease", hesitate, "Coze was asked"),
        ("owner", stumble, "lines of the assistant"),
        ("take_over", stumble, "has been running"),
    ],
)
def test_without_a_guard_the_suite_says_what_broke(
    guard: str, run: Callable[[Cluster], list[str]], noticed: str, open_cluster: Callable[..., Cluster]
) -> None:
    violations = run(open_cluster("hold", without_guard=guard))
    assert any(noticed in each for each in violations), violations
