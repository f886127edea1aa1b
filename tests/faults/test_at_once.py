"""The same message many times at the same moment is one message."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import ENGINES, FULL, Judge

MESSAGES = 100 if FULL else 40
AT_ONCE = 50


@pytest.mark.promise
@pytest.mark.alone
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES)
def test_fifty_equal_deliveries_are_one_exchange_one_call_and_equal_answers(
    engine: str, open_cluster: Callable[..., Cluster], judge: Judge
) -> None:
    cluster = open_cluster("hold", engine)
    ways: list[int] = []
    for number in range(MESSAGES):
        said = cluster.say(f"customer{number}", f"第{number}问", tries=AT_ONCE, together=AT_ONCE)
        outcome = said.result(60).outcome
        ways.append(len({each.decrypted for each in outcome.tries}))
    cluster.settle()
    history = cluster.history()
    judge("E3 equal deliveries at once", engine, history)
    assert ways == [1] * MESSAGES, "a message was answered in several ways"
    assert set(history.asked.values()) == {1}
    assert [each.attempts for each in history.exchanges] == [AT_ONCE] * MESSAGES
