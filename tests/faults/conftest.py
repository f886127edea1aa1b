"""What the fault tests share: how much to try, and a judge that collects a row and fails on a violation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import engines
from tests.engines import empty_database
from tests.faults.cluster import Cluster, Strategy
from tests.faults.invariants import History, check, tally
from tests.faults.results import collect, row

FULL = os.environ.get("PROMISES_FULL") == "1"
ENGINES = [each for each in ("sqlite", "postgresql") if each in engines.ENGINES]
"""Without the mark `engines`: these tests are run by `make promises` only."""


@dataclass
class Judge:
    """Collects what a test tried, and fails it with every violation in words."""

    started: float = field(default_factory=time.monotonic)

    def __call__(
        self, promise: str, setting: str, history: History, *, faults: int = 0, seed: int | None = None
    ) -> None:
        history.faults = faults
        collect(row(promise, setting, tally(history), faults, time.monotonic() - self.started, seed))
        violations = check(history)
        assert not violations, f"{len(violations)} violations:\n" + "\n".join(violations[:40])


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def open_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Starts installations, each on an empty database of the engine asked for."""
    with ExitStack() as stack:
        started: list[Cluster] = []

        def start(strategy: Strategy = "hold", engine: str = "sqlite", **hooks: Any) -> Cluster:
            folder = tmp_path / f"cluster{len(started)}"
            folder.mkdir()
            url = stack.enter_context(empty_database(engine, folder))
            cluster = stack.enter_context(Cluster(folder, url, strategy, **hooks))
            started.append(cluster)
            return cluster

        yield start
