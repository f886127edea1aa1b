"""One customer's messages are answered in their order, one chat at a time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from handler.turns import QUEUE
from storage.models import Exchange
from tests.faults.cluster import Cluster
from tests.faults.conftest import FULL, Judge

USERS, BURST = (100, 20) if FULL else (20, 5)
BETWEEN = 0.05
"""Seconds between a customer's messages, so that their order is certain."""


def disordered(exchanges: Sequence[Exchange]) -> list[str]:
    """Every pair of a customer's answers that came in the wrong order; the busy line may overtake."""
    by_user: defaultdict[str, list[Exchange]] = defaultdict(list)
    for each in exchanges:
        if each.error_code != "queue_full":
            by_user[each.user_id].append(each)
    return [
        f"{user}: {second.question!r} was answered before {first.question!r}"
        for user, theirs in by_user.items()
        for first, second in pairwise(theirs)
        if (first.answered_ms or 0) > (second.answered_ms or 0)
    ]


@pytest.mark.promise
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_burst_is_answered_in_order_and_one_chat_at_a_time(
    open_cluster: Callable[..., Cluster], judge: Judge
) -> None:
    cluster = open_cluster("hold")
    for place in range(BURST):
        for user in range(USERS):
            cluster.say(f"customer{user}", f"第{place}问，{user}号[[delay:0.3]]")
        time.sleep(BETWEEN)
    cluster.settle()
    history = cluster.history()
    judge("E7 order", f"{USERS} customers, bursts of {BURST}", history)
    assert disordered(history.exchanges) == []
    assert cluster.coze.occupied == 0, "a conversation was asked while a chat ran in it"
    busy = sum(each.error_code == "queue_full" for each in history.exchanges)
    assert busy <= USERS * max(0, BURST - 1 - QUEUE)
