"""The states of a dialogue: exactly the allowed ways, and who comes first."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from handler.handoff import ALLOWED, STATUSES, Priority, Status, estimated_wait, may_become, steps

WAYS = {
    ("bot_active", "pending_manual"),
    ("bot_active", "after_hours_email"),
    ("bot_active", "manual_live"),
    ("pending_manual", "manual_live"),
    ("pending_manual", "bot_active"),
    ("pending_manual", "after_hours_email"),
    ("manual_live", "bot_active"),
    ("manual_live", "closed"),
    ("after_hours_email", "manual_live"),
    ("after_hours_email", "bot_active"),
    ("after_hours_email", "closed"),
    ("closed", "bot_active"),
}


@pytest.mark.parametrize(("now", "then"), list(product(STATUSES, STATUSES)))
def test_every_pair_of_states_is_allowed_or_not_as_the_table_says(now: Status, then: Status) -> None:
    assert may_become(now, then) == ((now, then) in WAYS)


@pytest.mark.parametrize(("now", "then"), list(product(STATUSES, STATUSES)))
def test_every_state_is_reached_by_allowed_steps_only(now: Status, then: Status) -> None:
    way = steps(now, then)
    assert (way == ()) == (now == then)
    assert all(may_become(a, b) for a, b in pairwise((now, *way)))
    assert not way or way[-1] == then


def test_the_table_knows_every_state() -> None:
    assert set(ALLOWED) == set(STATUSES)


@pytest.mark.parametrize(
    ("priority", "level"),
    [
        (Priority(), "normal"),
        (Priority(repeat=True), "high"),
        (Priority(urgent=True), "high"),
        (Priority(waited_seconds=300), "normal"),
        (Priority(waited_seconds=300.1), "urgent"),
        (Priority(vip=True), "urgent"),
    ],
)
def test_who_comes_first(priority: Priority, level: str) -> None:
    assert priority.level == level


def test_the_wait_is_shared_by_those_who_serve() -> None:
    assert estimated_wait(3, 60, 0) == 180
    assert estimated_wait(3, 60, 2) == 90
