"""Who is who: conversations, visitors' tokens and servers' keys, played as the public clients play them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
import requests

from tests.rig import Rig

SECRET = "a-visitor-secret-of-more-than-32-characters"
KEY = "a-long-enough-secret-key"
SERVER = {"Authorization": f"Bearer {KEY}"}
PRODUCTION = {
    "app_env": "production",
    "agent_secret": "a-long-enough-secret-of-the-agents",
    "api_keys": f"shop:{KEY}:chat,viewer:another-long-secret-key:log",
    "visitor_secret": SECRET,
    "cors_origins": "https://shop.example",
}


@pytest.fixture
def open_to_browsers(open_rig: Callable[..., Rig]) -> Rig:
    return open_rig(**PRODUCTION)


def begin(rig: Rig, verb: str = "new", **options: Any) -> dict[str, Any]:
    response = rig.post(f"/api/conversation/{verb}", **options)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert body["success"] is True
    return body


def bearer(begun: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {begun['token']}"}


def ask(rig: Rig, message: str, headers: dict[str, str] | None = None, **fields: Any) -> requests.Response:
    return rig.post("/api/chat", json={"message": message, **fields}, headers=headers)


def said(response: requests.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["message"])


def test_the_public_clients_flow_keeps_two_sessions_apart(rig: Rig) -> None:
    def play(session: str, words: str) -> tuple[str, str]:
        conversation = begin(rig, json={"session_id": session})["conversation_id"]
        who = {"user_id": session, "conversation_id": conversation}
        ask(rig, words, **who)
        return said(ask(rig, "我叫什么？", **who)), said(ask(rig, "我今年几岁？", **who))

    with ThreadPoolExecutor(2) as pool:
        a = pool.submit(play, "session_a", "我叫张三，今年25岁")
        b = pool.submit(play, "session_b", "我叫李四")
        (name_a, age_a), (name_b, age_b) = a.result(), b.result()
    assert "张三" in name_a
    assert "李四" not in name_a
    assert "25" in age_a
    assert "李四" in name_b
    assert "张三" not in name_b
    assert "25" not in age_b


def test_every_begun_conversation_has_an_id_of_its_own(rig: Rig) -> None:
    ids = [begin(rig, verb, json={"session_id": "same"})["conversation_id"] for verb in ("new", "create")]
    assert len({*ids, begin(rig)["conversation_id"]}) == 3
    assert len({begin(rig)["session_id"] for _ in range(3)}) == 3


def test_a_cleared_conversation_has_forgotten_and_the_old_one_has_not(rig: Rig) -> None:
    first = begin(rig, json={"session_id": "s"})["conversation_id"]
    ask(rig, "我叫张三", user_id="s")
    fresh = begin(rig, "clear", json={"session_id": "s"})["conversation_id"]
    assert fresh != first
    assert "张三" not in said(ask(rig, "我叫什么？", user_id="s"))
    assert "张三" in said(ask(rig, "我叫什么？", user_id="s", conversation_id=first))


def test_a_conversation_of_another_is_not_there_for_me(rig: Rig) -> None:
    hers = begin(rig, json={"session_id": "her"})["conversation_id"]
    ask(rig, "我叫张三", user_id="her", conversation_id=hers)
    for stolen in (hers, "her", "0" * 32):
        response = ask(rig, "我叫什么？", user_id="me", conversation_id=stolen)
        assert response.status_code == 404
        assert response.json() == {
            "success": False,
            "error": "conversation_id: there is no such conversation of this user",
        }
    assert [each["user_id"] for each in rig.log()] == ["her"]


def test_a_stranger_gets_a_token_and_is_remembered_by_it(open_to_browsers: Rig) -> None:
    rig = open_to_browsers
    assert ask(rig, "你好").status_code == 401
    mine, yours = begin(rig, json={"session_id": "chosen"}), begin(rig, json={"session_id": "chosen"})
    assert "chosen" not in (mine["session_id"], yours["session_id"])
    ask(rig, "我叫张三", bearer(mine))
    assert "张三" in said(ask(rig, "我叫什么？", bearer(mine)))
    assert "张三" not in said(ask(rig, "我叫什么？", bearer(yours)))


def test_a_token_opens_nothing_but_its_own_visitor(open_to_browsers: Rig) -> None:
    rig = open_to_browsers
    mine, yours = begin(rig), begin(rig)
    named = ask(rig, "我叫什么？", bearer(mine), user_id=yours["session_id"])
    assert named.status_code == 403
    taken = ask(rig, "我叫什么？", bearer(mine), conversation_id=yours["conversation_id"])
    assert taken.status_code == 404
    begun = begin(rig, headers=bearer(mine), json={"session_id": yours["session_id"]})
    assert begun["session_id"] == mine["session_id"]


@pytest.mark.parametrize(
    "forged",
    [
        jwt.encode({"sub": "v", "aud": "yingda-visitor", "exp": 4e9}, "x" * 32),
        jwt.encode({"sub": "v", "aud": "yingda-file", "exp": 4e9}, SECRET),
        jwt.encode({"sub": "v", "aud": "yingda-visitor", "exp": 1}, SECRET),
        jwt.encode({"sub": "v", "aud": "yingda-visitor"}, SECRET),
        jwt.encode({"sub": "v", "aud": "yingda-visitor", "exp": 4e9}, "", algorithm="none"),
        "a.b.c",
    ],
    ids=["another secret", "another purpose", "expired", "without an end", "unsigned", "noise"],
)
def test_a_token_that_is_not_ours_is_refused(open_to_browsers: Rig, forged: str) -> None:
    response = ask(open_to_browsers, "你好", {"Authorization": f"Bearer {forged}"})
    assert response.status_code == 401
    assert forged not in response.text


def test_the_old_secret_is_believed_while_the_new_one_replaces_it(open_rig: Callable[..., Rig]) -> None:
    token = jwt.encode({"sub": "v_old", "aud": "yingda-visitor", "exp": 4e9}, SECRET)
    rig = open_rig(**{**PRODUCTION, "visitor_secret": f"{'n' * 32},{SECRET}"})
    assert ask(rig, "你好", {"Authorization": f"Bearer {token}"}).json()["user_id"] == "v_old"


def test_a_server_speaks_for_anybody_and_can_pass_a_token_on(open_to_browsers: Rig) -> None:
    rig = open_to_browsers
    ask(rig, "我叫张三", SERVER, user_id="customer-7")
    begun = begin(rig, headers=SERVER, json={"session_id": "customer-7"})
    assert begun["session_id"] == "customer-7"
    assert ask(rig, "你好", bearer(begun)).json()["user_id"] == "customer-7"
    wrong = rig.post("/api/conversation/new", headers={"X-Api-Key": "another-long-secret-key"})
    assert wrong.status_code == 403


def test_a_stranger_in_a_hurry_is_told_to_wait(
    open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_VISITORS_PER_MINUTE", "2")
    monkeypatch.setenv("WEB_MESSAGES_PER_MINUTE", "1")
    rig = open_rig(**PRODUCTION)
    mine = begin(rig)
    begin(rig)
    refused = rig.post("/api/conversation/new")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"]
    assert ask(rig, "你好", bearer(mine)).status_code == 200
    assert ask(rig, "你好", bearer(mine)).status_code == 429
    assert [ask(rig, "你好", SERVER, user_id="a").status_code for _ in range(3)] == [200] * 3


def test_pages_of_the_listed_origins_may_call_and_no_others(open_to_browsers: Rig) -> None:
    rig = open_to_browsers
    ours, theirs = {"Origin": "https://shop.example"}, {"Origin": "https://shop.example.evil.example"}
    allowed = requests.options(f"{rig.url}/api/chat/stream", headers=ours, timeout=5)
    assert allowed.status_code == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    begun = rig.post("/api/conversation/new", headers=ours)
    assert begun.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Origin" in begun.headers["Vary"]
    refusal = rig.post("/api/chat", json={"message": "你好"}, headers=ours)
    assert (refusal.status_code, refusal.headers["Access-Control-Allow-Origin"]) == (
        401,
        "https://shop.example",
    )
    for response in (
        requests.options(f"{rig.url}/api/chat", headers=theirs, timeout=5),
        rig.get("/api/bot/info", headers=theirs),
        rig.get("/api/messages", headers=ours),
    ):
        assert "Access-Control-Allow-Origin" not in response.headers


def test_parameters_reach_the_bot(rig: Rig) -> None:
    ask(rig, "你好", user_id="a", parameters={"shop": "北京", "level": 3})
    sent = next(each for each in rig.coze.requests if each.path == "/v3/chat")
    assert sent.json["parameters"] == {"shop": "北京", "level": 3}


def test_the_bot_introduces_itself_and_is_asked_once(rig: Rig) -> None:
    for _ in range(3):
        assert rig.get("/api/bot/info").json() == {
            "success": True,
            "bot": {
                "name": "应答沙箱",
                "description": "本地沙箱里的机器人",
                "icon_url": "",
                "welcome": "您好！请问有什么可以帮您？",
                "suggestions": ["给我使用指南", "忘记密码怎么办？"],
            },
        }
    assert len([each for each in rig.coze.requests if each.path == "/v1/bot/get_online_info"]) == 1


def test_a_bot_that_cannot_be_reached_has_words_of_ours(open_rig: Callable[..., Rig]) -> None:
    bot = open_rig(coze_api_base="http://127.0.0.1:9").get("/api/bot/info").json()["bot"]
    assert bot["name"] == "智能客服"
    assert bot["welcome"]
