"""Service sessions, on every engine."""

from __future__ import annotations

import pytest

from errors import TooManyRequests
from handler.message import Line, ServiceSession
from storage.db import Database
from storage.service_sessions import ServiceSessions
from tests.race import at_once


@pytest.fixture
def sessions(db: Database) -> ServiceSessions:
    return ServiceSessions(db)


def opened(sessions: ServiceSessions, user: str = "u", tenant: str = "t", **more: object) -> ServiceSession:
    options = {"bot_id": "", "earlier": (), "remembers": True, "metadata": {}, "lifetime": 3600, "limit": 3}
    return sessions.open(tenant, user, **{**options, **more})  # type: ignore[arg-type]


def ahead(sessions: ServiceSessions, seconds: int) -> None:
    clock = sessions.clock
    sessions.clock = lambda: clock() + seconds * 1000


def test_what_was_opened_comes_back(sessions: ServiceSessions) -> None:
    earlier = (Line("user", "你好"), Line("assistant", "您好 \x00"))
    made = opened(sessions, bot_id="b", earlier=earlier, remembers=False, metadata={"a": [1, {"b": "好"}]})
    assert made.earlier == (Line("user", "你好"), Line("assistant", "您好 "))
    assert (made.bot_id, made.remembers, made.metadata) == ("b", False, {"a": [1, {"b": "好"}]})
    assert sessions.get("t", made.id) == made
    assert sessions.get("T", made.id) is None
    assert sessions.get("t", made.id.upper()) is None


def test_users_who_differ_in_case_alone_are_two(sessions: ServiceSessions) -> None:
    for user in ("oAbc", "oabc"):
        for _ in range(3):
            opened(sessions, user)
    assert len(sessions.of_user("t", "oAbc")) == 3


def test_of_many_at_once_no_more_are_opened_than_allowed(sessions: ServiceSessions) -> None:
    def attempt() -> bool:
        try:
            opened(sessions)
        except TooManyRequests:
            return False
        return True

    assert sorted(at_once([attempt] * 8)) == [False] * 5 + [True] * 3
    assert len(sessions.of_user("t", "u")) == 3


def test_a_session_that_has_ended_makes_room(sessions: ServiceSessions) -> None:
    made = [opened(sessions) for _ in range(3)]
    with pytest.raises(TooManyRequests):
        opened(sessions)
    assert sessions.end("t", made[1].id) is not None
    assert sessions.end("t", made[1].id) is None
    opened(sessions)
    ahead(sessions, 3601)
    for _ in range(3):
        opened(sessions)


def test_each_use_begins_the_life_anew(sessions: ServiceSessions) -> None:
    made = opened(sessions)
    ahead(sessions, 3000)
    used = sessions.use("t", made.id, 3600)
    assert used is not None
    assert used.messages == 1
    assert used.expires_ms >= made.expires_ms + 3_000_000
    ahead(sessions, 3601)
    assert sessions.use("t", made.id, 3600) is None
    assert sessions.get("t", made.id) is None


def test_only_what_has_ended_is_cleaned_up(sessions: ServiceSessions) -> None:
    kept, ended, other = opened(sessions), opened(sessions), opened(sessions, tenant="other")
    sessions.end("t", ended.id)
    sessions.end("other", other.id)
    assert sessions.stats("t").ended == 1
    assert sessions.clean_up("t") == 1
    assert sessions.clean_up() == 1
    assert sessions.get("t", kept.id) == kept
    counts = sessions.stats("t")
    assert (counts.active, counts.ended, counts.users, counts.messages) == (1, 0, 1, 0)
