"""The desk's endpoints: who may do what, what is refused, and what agents see."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.conftest import OPENID, World

READS = [
    "/api/sessions",
    "/api/sessions/queue",
    "/api/sessions/stats",
    "/api/sessions/v1/notes",
    "/api/transfer-requests",
]
ACTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/sessions/v1/takeover", {}),
    ("POST", "/api/sessions/v1/release", {}),
    ("POST", "/api/sessions/v1/transfer", {"to_agent_id": "li", "reason": "r"}),
    ("POST", "/api/sessions/v1/notes", {"content": "n"}),
    ("PUT", "/api/sessions/v1/tags", {"tags": []}),
    ("PUT", "/api/sessions/v1/mark", {"vip": True}),
    ("PUT", "/api/sessions/v1/profile", {"email": "a@example.com"}),
    ("POST", "/api/sessions/v1/messages/1/retry", {}),
    ("POST", "/api/transfer-requests/1/respond", {"accept": True}),
    ("POST", "/api/manual/messages", {"session_name": "v1", "role": "agent", "content": "x"}),
]


@pytest.mark.parametrize("path", READS)
def test_reading_needs_a_sign_in_and_no_more(world: World, path: str) -> None:
    world.ask("你好")
    assert world.refused("GET", path)[0] == 401
    assert world.call("GET", path, "gu").status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_acting_needs_more_than_a_guest(world: World, method: str, path: str, body: dict[str, Any]) -> None:
    world.ask("你好")
    assert world.refused(method, path, json=body)[0] == 401
    assert world.refused(method, path, "gu", json=body)[0] == 403


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
@pytest.mark.parametrize("sent", [b"[]", b"\xff", b'{"content":5,"tags":5,"vip":[],"accept":[],"reason":5}'])
def test_bad_input_is_refused_and_never_breaks(
    world: World, method: str, path: str, body: dict[str, Any], sent: bytes
) -> None:
    world.ask("你好")
    status = world.call(method, path, "wang", data=sent).status_code
    # the body of a takeover has nothing that counts, and a retry has none at all
    assert status in {400, 403, 404, 409} or (path.endswith("takeover") and sent.startswith(b"{"))


def test_what_is_not_there_is_not_found(world: World) -> None:
    world.ask("你好")
    for name in ("nobody", "a:b:c:d", "a:b", "%00", "web:default:v1:v2", "x" * 2000, "a/b"):
        assert world.refused("GET", f"/api/sessions/{name}", "wang")[0] == 404
    assert world.refused("POST", "/api/manual/escalate", json={"session_name": "nobody"})[0] == 404
    assert world.refused("POST", "/api/manual/escalate", json={})[0] == 400
    assert world.refused("GET", "/api/sessions", "wang", params={"limit": 0})[0] == 400
    assert world.refused("GET", "/api/sessions", "wang", params={"status": "x"})[0] == 400


def test_a_session_is_handed_on_when_the_other_agrees(world: World) -> None:
    world.ask("转人工")
    world.post("/api/sessions/v1/takeover", "wang")
    body = {"to_agent_id": "li", "to_agent_name": "小李", "reason": "专业问题", "note": "急"}
    assert world.refused("POST", "/api/sessions/v1/transfer", "li", json=body)[0] == 403
    assert world.refused("POST", "/api/sessions/v1/transfer", "wang", json={**body, "reason": " "})[0] == 400
    first = world.post("/api/sessions/v1/transfer", "wang", **body)["data"]["id"]
    second = world.post("/api/sessions/v1/transfer", "wang", **body)["data"]["id"]
    (asked,) = world.get("/api/transfer-requests", "li")["requests"]
    assert (asked["id"], asked["session_name"], asked["note"]) == (second, "v1", "急")
    respond = "/api/transfer-requests/{}/respond"
    assert world.refused("POST", respond.format(second), "wang", json={"accept": True})[0] == 403
    assert world.refused("POST", respond.format(first), "li", json={"accept": True})[0] == 409
    assert world.post(respond.format(second), "li", action="decline")["data"]["status"] == "declined"
    assert world.session("v1")["assigned_agent"]["id"] == "wang"
    third = world.post("/api/sessions/v1/transfer", "chen", **body)["data"]["id"]
    assert world.post(respond.format(third), "li", accept=True)["data"]["status"] == "accepted"
    assert world.session("v1")["assigned_agent"] == {"id": "li", "name": "小李"}
    body = {"session_name": "v1", "role": "agent", "content": "x"}
    assert world.refused("POST", "/api/manual/messages", "wang", json=body) == (409, "ALREADY_TAKEN: 小李")
    assert world.refused("POST", "/api/sessions/v1/release", "wang")[0] == 403
    assert world.call("POST", "/api/sessions/v1/release", "chen").status_code == 200


def test_notes_and_tags_are_for_agents_only(world: World) -> None:
    world.ask("你好")
    world.post("/api/sessions/v1/notes", "wang", content="难缠 <b>")
    assert [each["content"] for each in world.get("/api/sessions/v1/notes")["notes"]] == ["难缠 <b>"]
    response = world.call("PUT", "/api/sessions/v1/tags", "li", json={"tags": ["退款", "退款", "急"]})
    assert response.json()["data"]["tags"] == ["退款", "急"]
    world.call("PUT", "/api/sessions/v1/mark", "li", json={"vip": True})
    shown = world.session("v1")
    assert (shown["tags"], shown["priority"]["is_vip"]) == (["退款", "急"], True)
    assert all("难缠" not in content for _, content in world.history("v1"))
    assert world.ask("你好").json()["success"] is True


def test_lists_are_filtered_and_sorted(world: World) -> None:
    for user in ("a", "b", "c"):
        world.ask("转人工", user)
    world.post("/api/sessions/b/takeover", "wang")

    def names(**query: Any) -> list[str]:
        return [each["session_name"] for each in world.get("/api/sessions", **query)["sessions"]]

    assert names() == ["a", "c", "b"]
    assert names(status="manual_live") == names(agent="mine") == names(agent="wang") == ["b"]
    assert names(agent="unassigned") == ["a", "c"]
    assert names(keyword="b") == ["b"]
    assert names(keyword="%") == []
    assert names(sort="oldest") == ["a", "c", "b"]
    assert names(limit=1, offset=1) == ["c"]
    assert names(time_end=1.0) == []
    assert names(customer_type="vip") == []
    assert sorted(names(sort="waitTime")) == sorted(names(sort="vip")) == ["a", "b", "c"]


def test_new_customers_are_told_from_those_who_come_back(world: World) -> None:
    for user in ("a", "b", "c"):
        world.ask("转人工", user)
    # b asks a second time, and d has two conversations
    world.post("/api/sessions/b/takeover", "wang")
    world.post("/api/sessions/b/release", "wang")
    world.ask("转人工", "b")
    begun = [world.post("/api/conversation/new", session_id="d")["conversation_id"] for _ in range(2)]
    for each in begun:
        body = {"message": "转人工", "user_id": "d", "conversation_id": each}
        assert world.call("POST", "/api/chat", json=body).status_code == 200

    def names(kind: str) -> list[str]:
        return sorted(
            each["session_name"] for each in world.get("/api/sessions", customer_type=kind)["sessions"]
        )

    assert names("old") == sorted(["b", begun[1]])
    assert names("new") == sorted(["a", "c", begun[0]])
    assert names("all") == sorted(["a", "b", "c", *begun])


def test_an_agent_keeps_a_customers_address(world: World) -> None:
    world.wechat.send_text(OPENID, "转人工", patience=10)
    name = f"wechat:default:{OPENID}:{OPENID}"
    path = f"/api/sessions/{name}/profile"

    def note(email: object, agent: str = "wang") -> requests.Response:
        return world.call("PUT", path, agent, json={"email": email})

    assert [note(each).status_code for each in ("x", 5, None, "a@b", "a@b.cc\nx", "a" * 300)] == [400] * 6
    assert note("a@example.com", "gu").status_code == 403
    assert note(" a@example.com ").json()["data"] == {"email": "a@example.com"}
    assert world.session(name)["user_profile"]["email"] == "a@example.com"
    assert note("").json()["data"] == {"email": ""}
    trail = world.get(f"/api/sessions/{name}")["audit_trail"]
    assert [each["details"] for each in trail[-2:]] == [{"email": "set"}, {"email": "removed"}]
    note("a@example.com")
    world.wechat.send(OPENID, "event", {"Event": "unsubscribe"}, patience=10)
    assert world.session(name)["user_profile"]["email"] == ""


def test_the_numbers_say_what_happened(world: World) -> None:
    for user in ("a", "b"):
        world.ask("你好", user)
        world.ask("转人工", user)
    world.post("/api/sessions/a/takeover", "wang")
    world.post("/api/sessions/a/release", "wang")
    assert world.post("/api/manual/rating", session_name="a", rating=4)["data"] == {"rating": 4}
    assert world.refused("POST", "/api/manual/rating", json={"session_name": "a", "rating": 1})[0] == 409
    assert world.refused("POST", "/api/manual/rating", json={"session_name": "a", "rating": 6})[0] == 400
    time.sleep(0.1)  # less does not show in a number with one decimal
    stats = world.get("/api/sessions/stats")
    assert (stats["total_sessions"], stats["pending_manual"], stats["bot_active"]) == (2, 1, 1)
    assert stats["by_escalation_reason"] == {"manual": 2}
    assert (stats["today"]["escalate"], stats["today"]["takeover"]) == (2, 1)
    assert stats["active_agents"] == 0
    assert stats["max_waiting_time"] > 0
    quality = stats["ai_quality"]
    assert quality["success_rate"] == 1
    assert quality["avg_messages_before_escalation"] == 2
    (wang,) = stats["agent_efficiency"]
    assert (wang["agent_id"], wang["sessions"], wang["avg_rating"]) == ("wang", 1, 4)


def test_a_visitor_speaks_for_nobody_else(open_world: Callable[..., World]) -> None:
    world = open_world(visitor_secret="s" * 40, cors_origins="https://shop.example.com")
    mine = world.post("/api/conversation/new")
    other = world.post("/api/conversation/new")
    body = {"session_name": other["conversation_id"]}
    headers = {"Authorization": f"Bearer {mine['token']}"}
    refused = requests.post(f"{world.url}/api/manual/escalate", json=body, headers=headers, timeout=10)
    assert refused.status_code == 403
    origin = {"Origin": "https://shop.example.com"}
    asked = requests.options(f"{world.url}/api/manual/escalate", headers=origin, timeout=10)
    assert asked.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    own = {"session_name": mine["conversation_id"]}
    taken = requests.post(f"{world.url}/api/manual/escalate", json=own, headers=headers, timeout=10)
    assert (taken.status_code, taken.json()["queue_num"]) == (200, 1)
    seen = requests.get(
        f"{world.url}/api/sessions/{mine['conversation_id']}", headers=headers, timeout=10
    ).json()["data"]
    assert seen["session"]["status"] == "pending_manual"
    assert (seen["audit_trail"], seen["session"]["tags"]) == ([], [])
    theirs = requests.get(f"{world.url}/api/sessions/{other['conversation_id']}", headers=headers, timeout=10)
    assert theirs.status_code == 403
    codes = [
        requests.post(f"{world.url}/api/manual/escalate", json=own, headers=headers, timeout=10).status_code
        for _ in range(20)
    ]
    assert codes[-1] == 429


def test_a_customer_who_leaves_is_forgotten_by_the_desk_too(world: World) -> None:
    world.wechat.send_text(OPENID, "转人工", patience=10)
    name = f"wechat:default:{OPENID}:{OPENID}"
    world.post(f"/api/sessions/{name}/takeover", "wang")
    world.post(f"/api/sessions/{name}/notes", "wang", content="注意")
    world.wechat.send(OPENID, "event", {"Event": "unsubscribe"}, patience=10)
    shown = world.session(name)
    assert (shown["status"], shown["assigned_agent"]) == ("bot_active", None)
    assert shown["escalation"]["details"] == ""
    assert world.get(f"/api/sessions/{name}/notes")["notes"] == []
    assert world.get("/api/sessions/queue")["total_count"] == 0


def test_in_production_a_stranger_sees_no_session(open_world: Callable[..., World]) -> None:
    world = open_world(
        app_env="production",
        visitor_secret="s" * 40,
        agent_secret="a" * 40,
        wechat_token="a-long-enough-wechat-token",
        api_keys="page:a-long-enough-secret-key:chat",
    )
    paths = ["/api/sessions", "/api/sessions/v1", "/api/sessions/queue"]
    assert [world.refused("GET", path)[0] for path in paths] == [401] * 3
    assert world.refused("POST", "/api/manual/escalate", json={"session_name": "v1"})[0] == 401
    assert world.refused("POST", "/api/manual/rating", json={"session_name": "v1", "rating": 5})[0] == 401
