"""The shop's three calls with their documented answers, over real HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from adapters.shop import wants_person
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from tests.rig import Rig
from texts import Texts

PRODUCTION = {
    "app_env": "production",
    "agent_secret": "a-long-enough-secret-of-the-agents",
    "api_keys": "page:a-long-enough-secret-key:chat,desk:another-long-secret-key:agent",
}
texts = Texts()


def ask(rig: Rig, user: str, msg: str) -> dict[str, Any]:
    response = rig.post("/api/ai_chat", json={"user_id": user, "msg": msg})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert set(body) == {"code", "ai_reply", "need_transfer", "chat_records"}
    assert body["code"] == 200
    return body


def said(body: dict[str, Any]) -> list[tuple[str, str]]:
    for record in body["chat_records"]:
        assert set(record) == {"role", "content", "time"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", record["time"])
    return [(record["role"], record["content"]) for record in body["chat_records"]]


def refused(response: requests.Response, status: int) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"code", "msg"}
    assert body["code"] == status
    return str(body["msg"])


def test_a_question_is_answered_with_the_whole_dialogue(rig: Rig) -> None:
    first = ask(rig, "u1", "商品多少钱？")
    assert first["need_transfer"] is False
    assert first["ai_reply"] == rig.log()[0]["answer"]
    assert said(first) == [("user", "商品多少钱？"), ("ai", first["ai_reply"])]
    second = ask(rig, "u1", "你好")
    assert said(second) == [*said(first), ("user", "你好"), ("ai", second["ai_reply"])]
    assert rig.log()[0]["platform"] == "shop"
    assert rig.log()[0]["delivery"] == "sync"


def test_a_form_is_understood_too(rig: Rig) -> None:
    body = rig.post("/api/ai_chat", data={"user_id": "u1", "msg": "你好"}).json()
    assert said(body)[0] == ("user", "你好")


def test_memories_of_two_customers_stay_apart(rig: Rig) -> None:
    names = {"a": "张三", "b": "李四"}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda user: ask(rig, user, f"我叫{names[user]}"), names))
        answers = list(pool.map(lambda user: ask(rig, user, "我叫什么？"), names))
    assert [each["ai_reply"] for each in answers] == ["您叫张三。", "您叫李四。"]
    assert "李四" not in str(answers[0]["chat_records"])


@pytest.mark.parametrize(
    ("text", "wants"),
    [
        ("转人工", True),
        ("我要人工客服", True),
        ("人工智能是什么", False),
        ("客服几点上班", False),
        ("投诉", False),
    ],
)
def test_only_a_customer_who_asks_for_a_person_wants_one(text: str, wants: bool) -> None:
    assert wants_person(text) is wants


def test_a_person_is_offered_when_asked_for_and_when_the_bot_fails(rig: Rig) -> None:
    assert ask(rig, "u1", "请帮我转人工")["need_transfer"] is True
    rig.coze.faults.queue("chat_failed")
    failed = ask(rig, "u2", "你好")
    assert failed["need_transfer"] is True
    assert failed["ai_reply"]
    assert "5000" not in failed["ai_reply"]


def test_a_customer_is_queued_once_and_leaves_with_the_first_word_of_a_person(rig: Rig) -> None:
    def transfer(user: str) -> dict[str, Any]:
        body: dict[str, Any] = rig.post("/api/transfer_service", json={"user_id": user}).json()
        return body

    ask(rig, "u1", "你好")
    assert transfer("u1") == {
        "code": 200,
        "msg": "已转接人工客服，你当前排队序号：1",
        "queue_num": 1,
        "service_status": "online",
    }
    assert transfer("u2")["queue_num"] == 2
    assert transfer("u1")["queue_num"] == 1
    words = "您好，我是人工客服，请问有什么可以帮助您的吗？"
    told = rig.post("/api/service_reply", json={"user_id": "u1", "service_msg": words}).json()
    assert (told["code"], told["service_msg"]) == (200, words)
    assert said(told)[-2:] == [("system", texts.asked_for_person), ("service", words)]
    assert said(told)[:1] == [("user", "你好")]
    assert transfer("u2")["queue_num"] == 1
    # whoever comes back reads what the person said
    assert ("service", words) in said(ask(rig, "u1", "谢谢"))
    logged = [each for each in rig.log() if each["source"] == "agent"]
    assert [(each["answer"], each["status"]) for each in logged] == [(words, "answered")]


def test_the_queue_is_as_long_as_it_is_allowed_to_be(
    open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_QUEUE_LENGTH", "1")
    monkeypatch.setenv("SERVICE_STATUS", "offline")
    rig = open_rig()
    body = rig.post("/api/transfer_service", json={"user_id": "u1"}).json()
    assert body["service_status"] == "offline"
    assert body["msg"] == texts.transferred_offline.format(place=1)
    full = rig.post("/api/transfer_service", json={"user_id": "u2"})
    assert refused(full, 429) == texts.queue_full


def test_nobody_is_answered_who_has_not_written(rig: Rig) -> None:
    refused(rig.post("/api/service_reply", json={"user_id": "stranger", "service_msg": "您好"}), 404)
    assert rig.log() == []


@pytest.mark.parametrize("path", ["/api/ai_chat", "/api/transfer_service", "/api/service_reply"])
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b"{}", b'{"user_id": " ", "msg": "a", "service_msg": "a"}', b'{"user_id": 5}'],
)
def test_bad_input_is_refused_in_the_shop_s_shape(rig: Rig, path: str, body: bytes) -> None:
    assert refused(rig.post(path, data=body), 400)


def test_more_that_is_refused(rig: Rig) -> None:
    for msg in ("", "  ", "字" * 4001):
        refused(rig.post("/api/ai_chat", json={"user_id": "a", "msg": msg}), 400)
    refused(rig.post("/api/ai_chat", json={"user_id": "a" * 129, "msg": "hi"}), 400)
    refused(rig.post("/api/ai_chat", data=b"x" * 70_000), 413)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(rig.post("/api/ai_chat", data=b"user_id=%FF&msg=a", headers=form), 400)
    refused(rig.post("/api/ai_chat", data=b"a=1&" * 50, headers=form), 400)
    refused(rig.get("/api/ai_chat"), 405)
    assert rig.log() == []


def test_production_wants_a_key_for_each_side(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(**PRODUCTION)
    page, desk = "a-long-enough-secret-key", "another-long-secret-key"
    question, word = {"user_id": "u", "msg": "你好"}, {"user_id": "u", "service_msg": "您好"}
    for path, body, allowed, other in (
        ("/api/ai_chat", question, page, desk),
        ("/api/transfer_service", question, page, desk),
        ("/api/service_reply", word, desk, page),
    ):
        refused(rig.post(path, json=body), 401)
        refused(rig.post(path, json=body, headers={"X-Api-Key": "wrong"}), 401)
        refused(rig.post(path, json=body, headers={"X-Api-Key": other}), 403)
        assert rig.post(path, json=body, headers={"X-Api-Key": allowed}).status_code == 200


# a customer of WeChat

OPENID = "oCustomer-0123456789abcdefgh"
SECRET = "an-app-secret-of-these-tests"
AES_KEY = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A"


@pytest.fixture
def on_wechat(open_rig: Callable[..., Rig]) -> Iterator[tuple[Rig, LocalWeChat]]:
    wechat = LocalWeChat("", appsecret=SECRET, aes_key=AES_KEY, verified=True)
    with Server(create_app(wechat)) as api:
        rig = open_rig(
            wechat_token=wechat.token,
            wechat_appid=wechat.appid,
            wechat_appsecret=SECRET,
            wechat_aes_key=AES_KEY,
            wechat_account_kind="verified",
            wechat_api_base=api.url,
        )
        wechat.callback_url = f"{rig.url}/api/wechat"
        yield rig, wechat
        rig.app.extensions["yingda"].close()


def run_jobs(rig: Rig) -> None:
    yingda = rig.app.extensions["yingda"]
    for job in yingda.jobs.claim(yingda.runner.owner):
        yingda.runner.do(job)


def test_a_person_s_words_reach_a_customer_of_wechat(on_wechat: tuple[Rig, LocalWeChat]) -> None:
    rig, wechat = on_wechat
    wechat.send_text(OPENID, "你好")
    before = len(wechat.inbox(OPENID))
    queued = rig.post("/api/transfer_service", json={"user_id": OPENID}).json()
    assert queued["queue_num"] == 1
    told = rig.post("/api/service_reply", json={"user_id": OPENID, "service_msg": "您好，我是小王"}).json()
    assert [role for role, _ in said(told)] == ["user", "ai", "system", "service"]
    run_jobs(rig)
    bubbles = wechat.inbox(OPENID)[before:]
    assert [bubble.text for bubble in bubbles] == ["您好，我是小王"]
    row = rig.log()[0]
    assert (row["platform"], row["status"], row["delivery"], row["source"]) == (
        "wechat",
        "delivered",
        "push",
        "agent",
    )


def test_what_cannot_reach_a_customer_of_wechat_is_shown_to_operators(open_rig: Callable[..., Rig]) -> None:
    wechat = LocalWeChat("", aes_key=AES_KEY)
    rig = open_rig(wechat_token=wechat.token, wechat_appid=wechat.appid, wechat_aes_key=AES_KEY)
    wechat.callback_url = f"{rig.url}/api/wechat"
    wechat.send_text(OPENID, "你好")
    rig.post("/api/service_reply", json={"user_id": OPENID, "service_msg": "您好"})
    run_jobs(rig)
    assert rig.log()[0]["status"] == "undelivered"
    trouble = rig.app.extensions["yingda"].jobs.troubled()
    assert "AppSecret" in trouble[0].job.error
