"""Accounts and the audit over HTTP."""

from __future__ import annotations

import pytest

from tests.support.accounts.conftest import PASSWORD, Desk

NEW = "a new good phrase"


def test_an_admin_makes_changes_and_removes_an_account(desk: Desk) -> None:
    client, boss = desk.client(), desk.bearer("boss")
    made = client.post(
        "/api/agents",
        headers=boss,
        json={
            "username": "Zhao.1",
            "password": NEW,
            "name": " 小赵 ",
            "role": "supervisor",
            "max_sessions": 9,
        },
    )
    assert made.status_code == 201
    agent = made.get_json()["agent"]
    assert (agent["username"], agent["name"], agent["role"], agent["max_sessions"]) == (
        "zhao.1", "小赵", "supervisor", 9,
    )  # fmt: skip
    assert desk.sign_in("zhao.1", NEW).status_code == 200
    changes = {"name": "赵", "avatar_url": "https://a.example/z.png", "max_sessions": 2}
    changed = client.put("/api/agents/ZHAO.1", headers=boss, json=changes).get_json()["agent"]
    assert {name: changed[name] for name in changes} == changes
    assert client.delete("/api/agents/zhao.1", headers=boss).status_code == 200
    listed = client.get("/api/agents", headers=boss).get_json()
    assert [each["username"] for each in listed["agents"]] == ["boss", "li", "wang"]
    assert listed["total"] == 3
    everyone = client.get("/api/agents?all=true", headers=boss).get_json()
    assert [each["enabled"] for each in everyone["agents"]] == [True, True, True, False]
    back = client.put("/api/agents/zhao.1", headers=boss, json={"enabled": True})
    assert back.get_json()["agent"]["enabled"] is True


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"username": "wang"}, 409),
        ({"username": "a"}, 400),
        ({"username": "a b"}, 400),
        ({"username": "../x"}, 400),
        ({"username": "x" * 65}, 400),
        ({"username": "小赵"}, 400),
        ({"username": "zhao\n"}, 201),
        ({"password": "short"}, 400),
        ({"password": "1234567890"}, 400),
        ({"password": "aaaaaaaaaaaaaa"}, 400),
        ({"password": "xx-zhao-xx-12"}, 400),
        ({"password": "x" * 129}, 400),
        ({"password": None}, 400),
        ({"name": ""}, 400),
        ({"name": "a\x00b"}, 400),
        ({"name": "a\u202eb"}, 400),
        ({"name": "\ud800"}, 400),
        ({"role": "root"}, 400),
        ({"max_sessions": 0}, 400),
        ({"max_sessions": "5"}, 400),
        ({"max_sessions": 10**30}, 400),
        ({"avatar_url": "javascript:alert(1)"}, 400),
        ({"avatar_url": "https://a.example/" + "x" * 500}, 400),
    ],
)
def test_a_new_account_is_checked(desk: Desk, change: dict[str, object], status: int) -> None:
    body = {"username": "zhao", "password": NEW, "role": "agent", **change}
    response = desk.client().post("/api/agents", headers=desk.bearer("boss"), json=body)
    assert response.status_code == status, response.text
    assert NEW not in response.text
    assert len(desk.people.agents.all()) == (4 if status == 201 else 3)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/agents/nobody", {"name": "x"}, 404),
        ("/api/agents/" + "x" * 300, {"name": "x"}, 404),
        ("/api/agents/%00", {"name": "x"}, 404),
        ("/api/agents/wang", {}, 400),
        ("/api/agents/wang", {"enabled": "perhaps"}, 400),
        ("/api/agents/boss", {"role": "agent"}, 409),
        ("/api/agents/boss", {"enabled": False}, 409),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    desk: Desk, path: str, body: dict[str, object], status: int
) -> None:
    response = desk.client().put(path, headers=desk.bearer("boss"), json=body)
    assert response.status_code == status, response.text


@pytest.mark.parametrize(
    "name", ["boss", "BOSS", "boss%00", "%00boss", "bo%00ss", "boss%20", "boss%ED%A0%80"]
)
def test_no_spelling_of_ones_own_name_makes_it_anothers(desk: Desk, name: str) -> None:
    desk.add("chief", "admin")
    client, boss = desk.client(), desk.bearer("boss")
    body = {"new_password": NEW}
    removed = client.delete(f"/api/agents/{name}", headers=boss)
    reset = client.post(f"/api/agents/{name}/reset-password", headers=boss, json=body)
    assert {removed.status_code, reset.status_code} <= {403, 404}
    assert desk.sign_in("boss").status_code == 200


def test_an_agent_changes_its_own_name_and_picture(desk: Desk) -> None:
    body = {"name": "王", "avatar_url": "https://a.example/w.png"}
    response = desk.client().put("/api/agents/wang", headers=desk.bearer("wang"), json=body)
    assert response.get_json()["agent"]["name"] == "王"
    assert desk.client().put("/api/agents/li", headers=desk.bearer("wang"), json=body).status_code == 403


def test_a_reset_password_is_good_at_once_and_the_old_one_no_longer(desk: Desk) -> None:
    client, boss = desk.client(), desk.bearer("boss")
    body = {"new_password": NEW}
    assert client.post("/api/agents/wang/reset-password", headers=boss, json=body).status_code == 200
    assert desk.sign_in("wang", NEW).status_code == 200
    assert desk.sign_in("wang").status_code == 401
    assert client.post("/api/agents/nobody/reset-password", headers=boss, json=body).status_code == 404
    bad = client.post("/api/agents/wang/reset-password", headers=boss, json={"new_password": "x"})
    assert bad.status_code == 400


def test_the_audit_says_who_did_what_on_whom_and_from_where_without_secrets(desk: Desk) -> None:
    client = desk.client()
    token = desk.sign_in("boss").get_json()["token"]
    boss = {"Authorization": f"Bearer {token}", "X-Request-Id": "request-0001"}
    client.post("/api/agents", headers=boss, json={"username": "zhao", "password": NEW})
    client.put("/api/agents/zhao", headers=boss, json={"role": "guest"})
    client.post("/api/agents/zhao/reset-password", headers=boss, json={"new_password": "secret phrase 2"})
    desk.sign_in("zhao", "secret phrase wrong")
    answer = client.get("/api/audit?target=zhao", headers=boss)
    entries = answer.get_json()["entries"]
    assert [(each["actor"], each["action"]) for each in entries] == [
        ("zhao", "sign_in.failed"),
        ("boss", "password.reset"),
        ("boss", "account.changed"),
        ("boss", "account.created"),
    ]
    assert entries[2]["detail"] == {"role": "guest"}
    assert {each["request_id"] for each in entries[1:]} == {"request-0001"}
    assert {each["address"] for each in entries} == {"127.0.0.1"}
    everything = client.get("/api/audit?limit=200", headers=boss).text
    for secret in (PASSWORD, NEW, "secret phrase", token, "argon2"):
        assert secret not in everything


def test_the_audit_is_read_page_by_page(desk: Desk) -> None:
    client, boss = desk.client(), desk.bearer("boss")
    for _ in range(5):
        desk.sign_in("wang")
    seen: list[int] = []
    query = "/api/audit?actor=wang&limit=2"
    place = ""
    while True:
        page = client.get(query + place, headers=boss).get_json()
        seen += [each["id"] for each in page["entries"]]
        if page["next"] is None:
            break
        place = f"&before={page['next']}"
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)
    for wrong in ("limit=0", "limit=999", "before=0", "before=x", "start=nan", "start=1e99"):
        assert client.get(f"/api/audit?{wrong}", headers=boss).status_code == 400, wrong
    assert client.get("/api/audit?start=0&end=1", headers=boss).get_json()["entries"] == []
