"""Attempts: counted before they are made, and the longer the row of failures, the longer the wait."""

from __future__ import annotations

import pytest

from storage.audit import Audit, By
from storage.db import Database, now_ms
from storage.sign_in_attempts import FIRST_WAIT_MS, FORGOTTEN_MS, FREE, LONGEST_WAIT_MS, Attempts
from tests.race import at_once

BY = By("-", "r", "192.0.2.7")


@pytest.fixture
def attempts(db: Database) -> Attempts:
    return Attempts(db)


def test_the_wait_begins_after_five_and_doubles_up_to_a_quarter_of_an_hour(attempts: Attempts) -> None:
    now = now_ms()
    assert [attempts.count("wang", f"192.0.2.{n}", BY, now) for n in range(FREE["name"])] == [0] * 5
    waits = []
    for _ in range(7):
        wait = attempts.count("wang", "192.0.2.99", BY, now)
        waits.append(wait)
        assert attempts.count("wang", "192.0.2.99", BY, now + wait - 1) == 1, "not yet, and not counted"
        now += wait
        assert attempts.count("wang", "192.0.2.99", BY, now) == 0
    assert waits == [min(FIRST_WAIT_MS * 2**n, LONGEST_WAIT_MS) for n in range(7)]
    assert waits[-1] == LONGEST_WAIT_MS
    assert attempts.count("li", "192.0.2.50", BY, now) == 0


def test_attempts_at_once_are_all_counted(attempts: Attempts) -> None:
    # twelve guesses sent together: no more than the free ones are let through
    now = now_ms()
    waits = at_once([lambda: attempts.count("wang", "192.0.2.7", BY, now)] * 12)
    assert sum(wait == 0 for wait in waits) == FREE["name"]
    assert {wait for wait in waits if wait} == {FIRST_WAIT_MS}


def test_an_address_that_tries_many_names_has_to_wait(attempts: Attempts, db: Database) -> None:
    now = now_ms()
    waits = [attempts.count(f"name{n}", "192.0.2.7", BY, now) for n in range(FREE["address"] + 1)]
    assert [wait > 0 for wait in waits] == [False] * FREE["address"] + [True]
    assert attempts.count("wang", "192.0.2.8", BY, now) == 0
    [entry] = Audit(db).before(None, 9, action="sign_in.throttled")
    assert (entry.target, entry.address) == ("address:192.0.2.7", "192.0.2.7")


def test_a_success_does_not_clear_the_address_for_more_guessing(attempts: Attempts) -> None:
    now = now_ms()
    for n in range(FREE["address"] - 1):
        attempts.count(f"name{n}", "192.0.2.7", BY, now)
        attempts.count("mine", "192.0.2.7", BY, now)
        attempts.forgiven("mine", "192.0.2.7")
    assert attempts.count("last", "192.0.2.7", BY, now) == 0
    assert attempts.count("next", "192.0.2.7", BY, now) > 0


def test_failures_are_forgotten_after_an_hour_and_purged(attempts: Attempts) -> None:
    now = now_ms()
    for _ in range(4):
        attempts.count("wang", "a", BY, now)
    later = now + FORGOTTEN_MS + 1
    assert [attempts.count("wang", "a", BY, later) for _ in range(6)][:5] == [0] * 5
    assert attempts.purge(later) == 0
    assert attempts.purge(later + FORGOTTEN_MS + LONGEST_WAIT_MS + 1) == 2


def test_odd_names_are_counted_like_others(attempts: Attempts) -> None:
    for name in ("", "长" * 200, "a\x00b", "wang ", "\ud800"):
        assert attempts.count(name, "", BY) == 0
        attempts.failed(name, BY)
