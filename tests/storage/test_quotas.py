"""What may be sent is counted once, whoever sends: on every engine."""

from __future__ import annotations

import time
from functools import partial

import pytest

from handler.message import Grant
from storage.db import Database
from storage.quotas import Quotas
from tests.race import at_once

WHO = ("wechat", "default", "oUser")


@pytest.fixture
def quotas(db: Database) -> Quotas:
    return Quotas(db)


def now() -> int:
    return int(time.time() * 1000)


def opened(quotas: Quotas, by: str = "message", at: int = 0, seconds: float = 60, allowed: int = 5) -> bool:
    at = at or now()
    return quotas.opened(*WHO, by=by, at_ms=at, closes_ms=at + int(seconds * 1000), allowed=allowed)


def test_nobody_may_be_written_to_who_did_nothing(quotas: Quotas) -> None:
    assert (quotas.left(*WHO), quotas.take(*WHO, 3)) == (0, Grant())


def test_a_window_gives_what_it_has_and_no_more(quotas: Quotas) -> None:
    opened(quotas)
    assert [quotas.take(*WHO, 3).count for _ in range(3)] == [3, 2, 0]
    assert quotas.left(*WHO) == 0


def test_a_repeated_delivery_resets_nothing_and_a_new_message_does(quotas: Quotas) -> None:
    begun = now()
    assert opened(quotas, at=begun)
    quotas.take(*WHO, 4)
    assert not opened(quotas, at=begun)
    assert not opened(quotas, at=begun - 1000)
    assert quotas.left(*WHO) == 1
    assert opened(quotas, at=begun + 1000)
    assert quotas.left(*WHO) == 5


def test_each_thing_a_user_does_has_a_window_and_the_shortest_is_used_first(quotas: Quotas) -> None:
    opened(quotas, seconds=1000)
    opened(quotas, "click", seconds=60, allowed=3)
    assert quotas.left(*WHO) == 8
    assert [by for by, _, _ in quotas.take(*WHO, 4).taken] == ["click", "message"]
    assert quotas.left(*WHO) == 4


def test_a_window_closes(quotas: Quotas) -> None:
    opened(quotas, at=now() - 61_000)
    assert (quotas.left(*WHO), quotas.take(*WHO, 1).count) == (0, 0)


def test_what_was_not_sent_comes_back_to_where_it_was_taken(quotas: Quotas) -> None:
    begun = now()
    opened(quotas, at=begun, seconds=1000)
    opened(quotas, "click", at=begun, allowed=3)
    grant = quotas.take(*WHO, 5)
    quotas.give_back(*WHO, grant, 3)
    assert quotas.left(*WHO) == 6
    # a window that began anew has all of its own
    opened(quotas, at=begun + 1000, seconds=1000)
    quotas.give_back(*WHO, grant, 2)
    assert quotas.left(*WHO) == 5 + 1


def test_users_and_accounts_are_counted_apart(quotas: Quotas) -> None:
    opened(quotas)
    assert quotas.left("wechat", "default", "ouser") == 0
    assert quotas.left("wechat", "another", "oUser") == 0


def test_of_many_at_once_exactly_the_allowed_are_granted(quotas: Quotas) -> None:
    opened(quotas, allowed=5)
    opened(quotas, "click", allowed=3)
    granted = at_once([partial(quotas.take, *WHO, 2)] * 8)
    assert sum(each.count for each in granted) == 8
    assert quotas.left(*WHO) == 0


def test_of_many_openings_at_once_one_counts(quotas: Quotas) -> None:
    begun = now()
    assert sum(at_once([partial(opened, quotas, at=begun)] * 8)) == 1
    assert quotas.left(*WHO) == 5
