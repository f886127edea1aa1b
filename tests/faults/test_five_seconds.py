"""WeChat listens for five seconds, three times: whenever Coze is ready, the customer reads one answer."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.cluster import Cluster, Strategy
from tests.faults.conftest import FULL, Judge

READY = (1.0, 4.4, 4.9, 9.0, 13.0, 20.0, 3600.0)
"""Seconds after which Coze begins to answer; the last is never."""
BETWEEN = 0.2
"""Seconds between two messages: what is measured is patience and not the machine."""
MESSAGES = 400 if FULL else 70


@pytest.mark.promise
@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("strategy", ["hold", "push", "placeholder"])
def test_every_answer_is_read_once_however_late_coze_is(
    strategy: Strategy, open_cluster: Callable[..., Cluster], judge: Judge
) -> None:
    cluster = open_cluster(strategy)
    for number in range(MESSAGES):
        cluster.say(f"customer{number}", f"第{number}问[[delay:{READY[number % len(READY)]:g}]]")
        time.sleep(BETWEEN)
    cluster.settle()
    history = cluster.history()
    judge("E4 five seconds", strategy, history)
    assert not any(each.outcome.notice for each in history.sent)
    assert set(history.asked.values()) == {1}
    assert len(history.sent) >= MESSAGES
    quick = [each for each in history.sent if each.text.endswith("[[delay:1]]")]
    assert all(len(each.outcome.tries) == 1 for each in quick)
