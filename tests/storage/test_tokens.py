"""Shared tokens, on every engine: one refresher, whoever asks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errors import Unavailable
from storage.db import Database, now_ms
from storage.tokens import Tokens

NAME = "wechat:wx1:access_token"


@pytest.fixture
def tokens(db: Database) -> Tokens:
    return Tokens(db)


def test_a_token_comes_back_with_its_end(tokens: Tokens) -> None:
    assert tokens.get(NAME) is None
    tokens.store(NAME, "t" * 600, 1_750_000_000_000)
    assert tokens.get(NAME) == ("t" * 600, 1_750_000_000_000)
    tokens.store(NAME, "new", 1)
    assert tokens.get(NAME) == ("new", 1)
    assert tokens.get(NAME.upper()) is None


def test_every_process_sees_the_same_token(tokens: Tokens, database_url: str) -> None:
    tokens.store(NAME, "shared", 5)
    other = Database(database_url)
    try:
        assert Tokens(other).get(NAME) == ("shared", 5)
        assert Tokens(other).may_refresh(NAME, "other", 60)
        assert not tokens.may_refresh(NAME, "me", 60)
    finally:
        other.close()


def test_the_old_token_stays_while_somebody_fetches_the_next(tokens: Tokens) -> None:
    tokens.store(NAME, "old", 5)
    assert tokens.may_refresh(NAME, "a", 60)
    assert tokens.get(NAME) == ("old", 5)


def test_whoever_asks_first_without_a_token_is_the_refresher(tokens: Tokens) -> None:
    assert tokens.may_refresh(NAME, "a", 60)
    assert not tokens.may_refresh(NAME, "b", 60)
    assert tokens.get(NAME) is None
    assert tokens.may_refresh("another", "b", 60)


@pytest.mark.parametrize("known", [False, True], ids=["no row yet", "a token to replace"])
def test_of_twenty_at_once_exactly_one_may_refresh(tokens: Tokens, known: bool) -> None:
    if known:
        tokens.store(NAME, "old", 5)
    together = threading.Barrier(20)

    def ask(number: int) -> bool:
        together.wait(20)
        return tokens.may_refresh(NAME, f"owner-{number}", 60)

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(ask, range(20))) == [False] * 19 + [True]


def test_a_new_token_ends_the_right_to_fetch_one(tokens: Tokens) -> None:
    assert tokens.may_refresh(NAME, "a", 60)
    tokens.store(NAME, "new", now_ms() + 60_000)
    assert tokens.may_refresh(NAME, "b", 60)


def test_only_its_owner_gives_the_right_back(tokens: Tokens) -> None:
    assert tokens.may_refresh(NAME, "a", 60)
    tokens.leave(NAME, "b")
    assert not tokens.may_refresh(NAME, "b", 60)
    tokens.leave(NAME, "a")
    assert tokens.may_refresh(NAME, "b", 60)


def test_a_dead_refresher_is_waited_for_no_longer_than_it_asked(tokens: Tokens) -> None:
    assert tokens.may_refresh(NAME, "dead", 0.05)
    threading.Event().wait(0.1)
    assert tokens.may_refresh(NAME, "alive", 60)


def test_a_refresher_whose_clock_was_far_ahead_keeps_nobody_waiting(tokens: Tokens) -> None:
    assert tokens.may_refresh(NAME, "from tomorrow", 86_400)
    assert tokens.may_refresh(NAME, "today", 60)
    assert not tokens.may_refresh(NAME, "today too", 60)


def test_a_database_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    away = Database(f"sqlite:///{tmp_path}")  # a folder is no database
    with pytest.raises(Unavailable):
        Tokens(away).get(NAME)
    with pytest.raises(Unavailable):
        Tokens(away).may_refresh(NAME, "a", 1)
    with pytest.raises(Unavailable):
        Tokens(away).store(NAME, "t", 1)
    with pytest.raises(Unavailable):
        Tokens(away).leave(NAME, "a")
    away.close()
