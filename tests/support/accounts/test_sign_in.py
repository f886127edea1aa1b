"""Signing in and out over HTTP, and what ends a sign-in."""

from __future__ import annotations

import time
from collections.abc import Callable

import jwt
import pytest

from storage.db import now_ms
from support.tokens import AgentTokens
from tests.race import at_once
from tests.support.accounts.conftest import BY, HASH, PASSWORD, Desk

WRONG = "the user name or the password is wrong"


def test_a_sign_in_answers_what_clients_of_before_read(desk: Desk) -> None:
    response = desk.sign_in("Wang ", device_id="desk-1")
    answer = response.get_json()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert set(answer) == {"success", "token", "refresh_token", "expires_in", "agent"}
    assert answer["expires_in"] == 900
    agent = answer["agent"]
    assert abs(agent.pop("last_login") - time.time()) < 20
    assert abs(agent.pop("created_at") - time.time()) < 20
    assert agent == {
        "id": "wang", "username": "wang", "name": "小王", "role": "agent", "status": "offline",
        "max_sessions": 5, "avatar_url": "", "enabled": True,
    }  # fmt: skip
    header = {"Authorization": f"Bearer {answer['token']}"}
    profile = desk.client().get("/api/agent/profile", headers=header).get_json()
    assert profile["agent"]["username"] == "wang"
    assert "status.set" in profile["permissions"]
    assert "audit.read" not in profile["permissions"]


def test_the_older_path_takes_and_answers_its_own_words(desk: Desk) -> None:
    body = {"agent_id": "boss", "password": PASSWORD, "device_id": "d"}
    answer = desk.client().post("/api/auth/agent/login", json=body).get_json()
    assert answer["success"] is True
    assert "audit.read" in answer["permissions"]
    header = {"Authorization": f"Bearer {answer['access_token']}"}
    assert desk.client().get("/api/audit", headers=header).status_code == 200
    renewed = desk.client().post("/api/agent/refresh", json={"refresh_token": answer["refresh_token"]})
    assert renewed.status_code == 200


def test_unknown_name_wrong_password_and_disabled_account_look_the_same(desk: Desk) -> None:
    desk.people.agents.change(BY, "li", {"enabled": False})
    answers = [
        desk.sign_in("nobody"),
        desk.sign_in("wang", "wrong"),
        desk.sign_in("li"),
        desk.sign_in("wang", "长" * 900),
    ]
    assert {(each.status_code, each.get_json()["detail"]) for each in answers} == {(401, WRONG)}
    assert desk.audited(action="sign_in.failed") == ["sign_in.failed"] * 4


def test_an_unknown_name_costs_a_hash_as_well(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    passwords = desk.people.passwords
    monkeypatch.setattr(passwords, "_verify", lambda stored, given: checked.append(stored) or True)
    assert desk.sign_in("nobody").status_code == 401
    assert len(checked) == 1
    assert checked[0].split("$")[1:4] == HASH.split("$")[1:4]


LONG_NAME = b'{"username":"' + b"x" * 300 + b'","password":"p"}'
NO_BODIES = [b"", b"[]", b"{}", b'{"username":"a"}', b'{"username":1,"password":[]}', b"\xff", LONG_NAME]


@pytest.mark.parametrize("body", NO_BODIES)
def test_a_body_that_is_none_is_a_400_and_not_quoted(desk: Desk, body: bytes) -> None:
    response = desk.client().post("/api/agent/login", data=body)
    assert response.status_code == 400
    assert response.get_json()["success"] is False


def test_a_password_in_the_wrong_place_is_not_quoted(desk: Desk) -> None:
    secret = "hunter2-hunter2"
    for body in ({"username": "a", "password": {"x": secret}}, {"username": [secret], "password": "x"}):
        assert secret not in desk.client().post("/api/agent/login", json=body).text


def test_repeated_failures_have_to_wait_even_with_the_right_password(desk: Desk) -> None:
    for _ in range(5):
        assert desk.sign_in("wang", "wrong").status_code == 401
    response = desk.sign_in("wang")
    assert response.status_code == 429
    assert 25 <= int(response.headers["Retry-After"]) <= 30
    assert desk.sign_in("li").status_code == 200, "another account from the same address"
    # names that do not exist wait as well: the wait tells nothing
    for _ in range(5):
        desk.sign_in("ghost", "wrong")
    assert desk.sign_in("ghost").status_code == 429
    desk.people.sign_ins.reset_password(BY, "wang", "a new good phrase")
    assert desk.sign_in("wang", "a new good phrase").status_code == 200


def test_a_success_forgives_the_failures_before_it(desk: Desk) -> None:
    for _ in range(3):
        for _ in range(4):
            desk.sign_in("wang", "wrong")
        assert desk.sign_in("wang").status_code == 200


def test_a_refresh_token_is_good_once(desk: Desk) -> None:
    first = desk.sign_in("wang").get_json()
    second = desk.client().post("/api/agent/refresh", json={"refresh_token": first["refresh_token"]})
    assert second.status_code == 200
    again = desk.client().post("/api/agent/refresh", json={"refresh_token": first["refresh_token"]})
    assert again.status_code == 409
    third = desk.client().post(
        "/api/agent/refresh", json={"refresh_token": second.get_json()["refresh_token"]}
    )
    assert third.status_code == 200, "asking twice within seconds has not ended the sign-in"
    # two generations old: nobody asks that late by mistake
    stolen = desk.client().post("/api/agent/refresh", json={"refresh_token": first["refresh_token"]})
    assert stolen.status_code == 401
    newest = third.get_json()
    header = {"Authorization": f"Bearer {newest['token']}"}
    assert desk.client().get("/api/agent/profile", headers=header).status_code == 401
    dead = desk.client().post("/api/agent/refresh", json={"refresh_token": newest["refresh_token"]})
    assert dead.status_code == 401
    assert "sign_in.reused" in desk.audited(target="wang")


def test_of_many_renewals_at_once_one_succeeds_and_the_sign_in_lives_on(desk: Desk) -> None:
    token = desk.sign_in("wang").get_json()["refresh_token"]

    def renew() -> tuple[int, str]:
        response = desk.client().post("/api/agent/refresh", json={"refresh_token": token})
        return response.status_code, response.get_json().get("token", "")

    results = at_once([renew] * 5)
    assert sorted(status for status, _ in results) == [200, 409, 409, 409, 409]
    header = {"Authorization": f"Bearer {max(token for _, token in results)}"}
    assert desk.client().get("/api/agent/profile", headers=header).status_code == 200


def test_each_token_opens_only_what_it_is_for(desk: Desk) -> None:
    answer = desk.sign_in("wang").get_json()
    refresh = {"Authorization": f"Bearer {answer['refresh_token']}"}
    assert desk.client().get("/api/agent/profile", headers=refresh).status_code == 401
    access = {"refresh_token": answer["token"]}
    assert desk.client().post("/api/agent/refresh", json=access).status_code == 401
    client = desk.client()
    client.set_cookie(desk.people.guard.cookie, answer["token"])
    assert client.get("/console").status_code == 303


def test_forged_expired_and_strange_tokens_are_401(desk: Desk) -> None:
    login = desk.login("wang")
    good = {"aud": "yingda-agent-access", "sub": "wang", "sid": login.id, "n": 1, "exp": time.time() + 60}
    secret = desk.app.extensions["yingda"].settings.agent_secrets[0]
    forged = [
        jwt.encode(good, "x" * 32, algorithm="HS256"),
        jwt.encode(good, "", algorithm="none"),
        jwt.encode({**good, "exp": time.time() - 1}, secret, algorithm="HS256"),
        jwt.encode({k: v for k, v in good.items() if k != "exp"}, secret, algorithm="HS256"),
        jwt.encode({**good, "sid": "0" * 32}, secret, algorithm="HS256"),
        jwt.encode({**good, "n": "x"}, secret, algorithm="HS256"),
        jwt.encode({**good, "aud": "yingda-visitor"}, secret, algorithm="HS256"),
        "a.b.c", "", "ключ",
    ]  # fmt: skip
    for token in forged:
        header = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
        assert desk.client().get("/api/agent/profile", headers=header).status_code == 401, token
    basic = desk.client().get("/api/agent/profile", headers={"Authorization": "Basic d2FuZzp4"})
    assert basic.status_code == 401
    right = jwt.encode(good, secret, algorithm="HS256")
    header = {"Authorization": f"bearer {right}"}
    assert desk.client().get("/api/agent/profile", headers=header).status_code == 200


def test_tokens_of_the_secret_before_are_still_believed(desk: Desk) -> None:
    login = desk.login("wang")
    old, new = AgentTokens(["o" * 32]), AgentTokens(["n" * 32, "o" * 32])
    assert new.read(old.issue(login, "access"), "access") == (login.id, 1)
    assert new.read(new.issue(login, "access"), "access") == (login.id, 1)


def test_signing_out_ends_this_sign_in_only_and_everywhere_all(desk: Desk) -> None:
    here, there = desk.bearer("wang"), desk.bearer("wang")
    desk.client().put("/api/agent/status", headers=here, json={"status": "online"})
    assert desk.client().post("/api/agent/logout", headers=here).status_code == 200
    assert desk.client().get("/api/agent/profile", headers=here).status_code == 401
    assert desk.client().get("/api/agent/status", headers=there).get_json()["status"] == "online"
    again = desk.bearer("wang")
    ended = desk.client().post("/api/agent/logout-everywhere", headers=again).get_json()["ended"]
    assert ended == 2
    for header in (there, again):
        assert desk.client().get("/api/agent/profile", headers=header).status_code == 401
    account = desk.people.agents.get("wang")
    assert account is not None
    assert account.status == "offline", "nobody is there without a sign-in"


@pytest.mark.parametrize("what", ["password", "role", "off", "reset"])
def test_what_takes_rights_away_ends_every_sign_in(desk: Desk, what: str) -> None:
    header, boss = desk.bearer("wang"), desk.bearer("boss")
    refresh = desk.sign_in("wang").get_json()["refresh_token"]
    client = desk.client()
    if what == "password":
        body = {"old_password": PASSWORD, "new_password": "a new good phrase"}
        assert client.post("/api/agent/change-password", headers=header, json=body).status_code == 200
    elif what == "role":
        assert client.put("/api/agents/wang", headers=boss, json={"role": "guest"}).status_code == 200
    elif what == "off":
        assert client.delete("/api/agents/wang", headers=boss).status_code == 200
    else:
        body = {"new_password": "a new good phrase"}
        assert client.post("/api/agents/wang/reset-password", headers=boss, json=body).status_code == 200
    assert client.get("/api/agent/profile", headers=header).status_code == 401
    assert client.post("/api/agent/refresh", json={"refresh_token": refresh}).status_code == 401
    assert client.get("/api/agent/profile", headers=boss).status_code == 200
    assert desk.sign_in("wang").status_code == (200 if what == "role" else 401)


def test_a_new_password_needs_the_present_one_and_the_rules(desk: Desk) -> None:
    header = desk.bearer("wang")

    def change(old: str, new: str) -> int:
        body = {"old_password": old, "new_password": new}
        return desk.client().post("/api/agent/change-password", headers=header, json=body).status_code

    assert change("wrong", "a new good phrase") == 400
    assert change(PASSWORD, "short") == 400
    assert change(PASSWORD, PASSWORD) == 400
    for _ in range(5):
        change("wrong", "a new good phrase")
    assert change(PASSWORD, "a new good phrase") == 429, "an open page is no place to guess at"
    assert desk.client().get("/api/agent/profile", headers=header).status_code == 200


def test_a_status_is_kept_by_its_heartbeat(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    header = desk.bearer("wang")

    def status() -> str:
        return str(desk.client().get("/api/agent/status", headers=header).get_json()["status"])

    desk.client().put("/api/agent/status", headers=header, json={"status": "busy"})
    assert status() == "busy"
    later = now_ms() + 91_000
    with monkeypatch.context() as patched:
        patched.setattr("storage.agents.now_ms", lambda: later)
        assert status() == "offline"
        assert desk.client().post("/api/agent/status/heartbeat", headers=header).status_code == 200
        assert status() == "busy", "back as it was left"
    wrong = desk.client().put("/api/agent/status", headers=header, json={"status": "asleep"})
    assert wrong.status_code == 400


def test_hashes_of_other_costs_are_renewed_at_sign_in(desk: Desk) -> None:
    from argon2 import PasswordHasher

    dated = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    desk.people.agents.set_password(BY, "wang", dated, action="password.reset")
    assert desk.sign_in("wang").status_code == 200
    found = desk.people.agents.credentials("wang")
    assert found is not None
    assert found[1] != dated
    assert not desk.people.passwords.is_dated(found[1])


def test_production_starts_only_with_a_strong_secret(make_desk: Callable[..., Desk]) -> None:
    from errors import ConfigurationError

    production = {
        "app_env": "production",
        "coze_api_token": "pat_a_real_token_of_coze",
        "coze_bot_id": "7300000000000000000",
    }
    for secret in ({}, {"agent_secret": "short"}, {"agent_secret": "yingda-development-secret-of-agents"}):
        with pytest.raises(ConfigurationError, match="AGENT_SECRET"):
            make_desk(**production, **secret)
    assert make_desk(**production, agent_secret="s" * 32).people.guard.cookie.startswith("__Host-")
