"""Sign-ins: renewed once, ended for all tokens, and what a token used twice means."""

from __future__ import annotations

import pytest

from errors import Conflict, Unauthorized
from storage.agent_events import AgentEvents
from storage.agent_logins import GRACE_MS, KEPT_MS, LIFE_MS, Kind, Login, Logins
from storage.agents import Agents
from storage.audit import Audit, By
from storage.db import Database, now_ms
from tests.race import at_once

BY = By("wang")


@pytest.fixture
def logins(db: Database) -> Logins:
    Agents(db).add(BY, username="wang", name="W", role="agent", password_hash="h", max_sessions=3)
    return Logins(db)


def begin(logins: Logins, kind: Kind = "api") -> Login:
    return logins.open(BY, "wang", "h", kind, "a phone", "192.0.2.7")


def test_of_many_renewals_with_one_token_exactly_one_wins_and_nothing_is_revoked(logins: Logins) -> None:
    login = begin(logins)

    def renew() -> int:
        try:
            return logins.renew(BY, login.id, 1).generation
        except Conflict:
            return 0

    assert sorted(at_once([renew] * 6)) == [0, 0, 0, 0, 0, 2]
    found = logins.get(login.id)
    assert found is not None
    assert found.generation == 2
    assert logins.renew(BY, login.id, 2).generation == 3


def test_a_used_token_within_the_grace_is_refused_and_later_ends_the_sign_in(
    logins: Logins, db: Database
) -> None:
    login, other = begin(logins), begin(logins)
    now = now_ms()
    assert logins.renew(BY, login.id, 1, now).expires_ms == now + LIFE_MS["api"]
    with pytest.raises(Conflict):
        logins.renew(BY, login.id, 1, now + GRACE_MS)
    assert logins.get(login.id) is not None
    with pytest.raises(Unauthorized):
        logins.renew(BY, login.id, 1, now + GRACE_MS + 1)
    assert logins.get(login.id) is None
    with pytest.raises(Unauthorized):
        logins.renew(BY, login.id, 2, now + GRACE_MS + 2)
    assert logins.get(other.id) is not None, "another device is not concerned"
    assert [each.target for each in Audit(db).before(None, 9, action="sign_in.reused")] == ["wang"]
    assert [each.event.kind for each in AgentEvents(db).since(0)] == ["signed_out"]


def test_a_token_two_generations_old_ends_the_sign_in_at_once(logins: Logins) -> None:
    login = begin(logins)
    logins.renew(BY, login.id, 1)
    logins.renew(BY, login.id, 2)
    with pytest.raises(Unauthorized):
        logins.renew(BY, login.id, 1)
    assert logins.get(login.id) is None


def test_nothing_renews_what_has_ended_or_was_never_there(logins: Logins) -> None:
    login, browser = begin(logins), begin(logins, "browser")
    for wrong, generation in ((login.id, 2), (browser.id, 1), ("0" * 32, 1)):
        with pytest.raises(Unauthorized):
            logins.renew(BY, wrong, generation)
    with pytest.raises(Unauthorized):
        logins.renew(BY, login.id, 1, now_ms() + LIFE_MS["api"] + 1_000)
    assert logins.get(login.id) is not None
    logins.end(BY, login)
    with pytest.raises(Unauthorized):
        logins.renew(BY, login.id, 1)


def test_a_browsers_sign_in_ends_after_a_shift(logins: Logins) -> None:
    login = begin(logins, "browser")
    assert logins.get(login.id, now_ms() + LIFE_MS["browser"] - 60_000) is not None
    assert logins.get(login.id, now_ms() + LIFE_MS["browser"] + 1) is None


def test_ending_is_recorded_once_and_ends_only_what_is_meant(logins: Logins, db: Database) -> None:
    first, second, third = begin(logins), begin(logins), begin(logins)
    logins.end(BY, first)
    logins.end(BY, first)
    assert [logins.get(each.id) is None for each in (first, second, third)] == [True, False, False]
    assert logins.end_all(BY, second.agent) == 2
    assert logins.get(third.id) is None
    audited = [each.action for each in Audit(db).before(None, 20)]
    assert audited.count("sign_out") == 1
    assert audited.count("sign_in") == 3


def test_a_renewal_and_an_end_at_once_leave_it_ended(logins: Logins) -> None:
    login = begin(logins)

    def renew() -> None:
        try:
            logins.renew(BY, login.id, 1)
        except Unauthorized:
            pass

    at_once([renew, lambda: logins.end(BY, login)])
    assert logins.get(login.id) is None


def test_old_rows_go(logins: Logins) -> None:
    login = begin(logins)
    assert logins.purge() == 0
    assert logins.purge(now_ms() + LIFE_MS["api"] + KEPT_MS + 1_000) == 1
    assert logins.get(login.id) is None
