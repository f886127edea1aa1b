"""Accounts: what is kept, what ends with a right, and who wins when two change the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from errors import Conflict, NotFound, Unauthorized, YingdaError
from storage.agent_logins import Login, Logins
from storage.agents import SILENCE_MS, Account, Agents, account_of
from storage.agents_tables import DeskAgent
from storage.audit import Audit, By
from storage.db import Database, now_ms
from support.agent import Role
from tests.race import at_once

BY = By("boss", "request-1", "192.0.2.7")


def add(db: Database, username: str, role: Role = "agent") -> Account:
    return Agents(db).add(BY, username=username, name=username, role=role, password_hash="h1", max_sessions=3)


def sign_in(db: Database, username: str, password_hash: str = "h1") -> Login:
    return Logins(db).open(BY, username, password_hash, "api", "", "192.0.2.7")


def tried(call: Callable[[], object]) -> type[BaseException] | None:
    try:
        call()
    except YingdaError as error:
        return type(error)
    return None


def test_an_account_is_made_once_also_by_two_at_once(db: Database) -> None:
    outcomes = at_once([lambda: tried(lambda: add(db, "wang"))] * 3)
    assert sorted(map(str, outcomes)) == sorted(map(str, [None, Conflict, Conflict]))
    [account] = Agents(db).all()
    assert (account.username, account.role, account.status, account.max_sessions) == (
        "wang", "agent", "offline", 3,
    )  # fmt: skip
    assert [each.action for each in Audit(db).before(None, 10)] == ["account.created"]


def test_a_disabled_account_keeps_its_name_and_cannot_sign_in(db: Database) -> None:
    add(db, "wang")
    agents = Agents(db)
    login = sign_in(db, "wang")
    agents.change(BY, "wang", {"enabled": False})
    assert agents.all() == []
    assert [each.enabled for each in agents.all(disabled=True)] == [False]
    assert agents.credentials("wang") is None
    assert Logins(db).get(login.id) is None
    with pytest.raises(Unauthorized):
        sign_in(db, "wang")
    with pytest.raises(Conflict):
        add(db, "wang")
    agents.change(BY, "wang", {"enabled": True})
    assert Logins(db).get(login.id) is None, "what has ended stays ended"
    assert sign_in(db, "wang").agent.username == "wang"


def test_only_a_change_of_rights_ends_sign_ins(db: Database) -> None:
    add(db, "wang")
    agents, logins, login = Agents(db), Logins(db), sign_in(db, "wang")
    agents.change(BY, "wang", {"name": "小王", "avatar_url": "https://a.example/x.png", "role": "agent"})
    found = logins.get(login.id)
    assert found is not None
    assert found.agent.name == "小王"
    agents.change(BY, "wang", {"role": "supervisor"})
    assert logins.get(login.id) is None
    assert sign_in(db, "wang").agent.role == "supervisor"
    assert Audit(db).before(None, 3, action="account.changed")[0].detail == {"role": "supervisor"}
    with pytest.raises(NotFound):
        agents.change(BY, "nobody", {"name": "x"})


def test_the_last_admin_stays_even_when_two_demote_each_other(db: Database) -> None:
    add(db, "a", "admin"), add(db, "b", "admin")
    agents = Agents(db)
    outcomes = at_once(
        [
            lambda: tried(lambda: agents.change(BY, "a", {"role": "agent"})),
            lambda: tried(lambda: agents.change(BY, "b", {"enabled": False})),
        ]
    )
    assert sorted(map(str, outcomes)) == sorted(map(str, [None, Conflict]))
    left = [each for each in agents.all() if each.role == "admin"]
    assert len(left) == 1
    with pytest.raises(Conflict):
        agents.change(BY, left[0].username, {"role": "supervisor"})
    agents.change(BY, left[0].username, {"name": "still there"})


def test_no_sign_in_with_the_old_password_survives_its_change(db: Database) -> None:
    add(db, "wang")
    agents, logins = Agents(db), Logins(db)

    def enter() -> Login | None:
        try:
            return sign_in(db, "wang")
        except Unauthorized:
            return None

    def change() -> None:
        agents.set_password(BY, "wang", "h2", action="password.changed", was="h1")

    results = at_once([enter, change, enter, enter])
    assert [each for each in results if each is not None and logins.get(each.id) is not None] == []
    with pytest.raises(Conflict):
        change()
    assert sign_in(db, "wang", "h2")


def test_a_rehash_never_brings_an_old_password_back(db: Database) -> None:
    account = add(db, "wang")
    agents = Agents(db)
    agents.set_password(BY, "wang", "h2", action="password.reset")
    agents.rehash(account.id, "h1", "h1-dearer")
    found = agents.credentials("wang")
    assert found is not None
    assert found[1] == "h2"


def test_silence_is_offline_and_a_heartbeat_brings_the_status_back(db: Database) -> None:
    agent = add(db, "wang").agent
    agents = Agents(db)
    assert agents.set_status(BY, agent, "busy").status == "busy"
    with db.read() as session:
        row = session.get(DeskAgent, agent.id)
        assert row is not None
        assert account_of(row, now_ms() + SILENCE_MS + 1_000).status == "offline"
        assert account_of(row, now_ms() + SILENCE_MS - 5_000).status == "busy"
    before = agents.get("wang")
    agents.heartbeat(agent)
    after = agents.get("wang")
    assert before is not None
    assert after is not None
    assert (after.heartbeat_ms or 0) >= (before.heartbeat_ms or 0) > 0


def test_who_has_no_sign_in_left_is_offline(db: Database) -> None:
    agent = add(db, "wang").agent
    agents, logins = Agents(db), Logins(db)
    first, second = sign_in(db, "wang"), sign_in(db, "wang")
    agents.set_status(BY, agent, "online")
    logins.end(BY, first)
    agents.gone(agent)
    assert [each.status for each in agents.all()] == ["online"]
    logins.end(BY, second)
    agents.gone(agent)
    assert [each.status for each in agents.all()] == ["offline"]
