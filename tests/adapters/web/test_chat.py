"""The chat API, asked as its older clients ask it."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from handler.work import Work
from tests.rig import Rig

PRODUCTION = {
    "app_env": "production",
    "agent_secret": "a-long-enough-secret-of-the-agents",
    "api_keys": "shop:a-long-enough-secret-key:chat,viewer:another-long-secret-key:log",
}


def events(rig: Rig, message: str, user: str = "a") -> list[dict[str, Any]]:
    response = rig.post("/api/chat/stream", json={"message": message, "user_id": user})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    records = [record for record in response.content.decode().split("\n\n") if record]
    assert all(record.startswith("id: ") for record in records)
    return [json.loads(record.split("\ndata: ")[1]) for record in records]


def test_chat_answers_with_the_documented_fields(rig: Rig) -> None:
    body = rig.post("/api/chat", json={"message": "你好", "user_id": "session_abc123"}).json()
    assert body["success"] is True
    assert body["message"] == rig.log()[0]["answer"]
    assert body["user_id"] == "session_abc123"
    assert rig.log()[0]["delivery"] == "sync"


def test_a_visitor_without_an_id_gets_one_to_come_back_with(rig: Rig) -> None:
    user = rig.post("/api/chat", json={"message": "我叫张三"}).json()["user_id"]
    assert user
    answer = rig.post("/api/chat", json={"message": "我叫什么？", "user_id": user}).json()
    assert "张三" in answer["message"]


def test_the_stream_sends_messages_and_exactly_one_done(rig: Rig) -> None:
    got = events(rig, "[[pace:0.1]] 你好")
    assert [event["type"] for event in got] == ["message"] * (len(got) - 1) + ["done"]
    assert len(got) > 3
    assert got[-1] == {"type": "done", "content": ""}
    assert "".join(event["content"] for event in got) == rig.log()[0]["answer"]


def test_a_failure_mid_stream_is_one_error_that_shows_nothing_of_coze(rig: Rig) -> None:
    rig.coze.faults.queue("chat_failed")
    got = events(rig, "你好")
    assert [event["type"] for event in got if event["type"] != "message"] == ["error"]
    assert "5000" not in got[-1]["content"]


def test_a_failure_is_told_with_success_false(rig: Rig) -> None:
    rig.coze.faults.queue("chat_failed")
    body = rig.post("/api/chat", json={"message": "你好"}).json()
    assert body["success"] is False
    assert body["error"]


def test_memories_of_two_users_asking_at_once_stay_apart(rig: Rig) -> None:
    names = {"a": "张三", "b": "李四"}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda user: events(rig, f"我叫{names[user]}", user), names))
        answers = dict(zip(names, pool.map(lambda user: events(rig, "我叫什么？", user), names), strict=True))
    for user, name in names.items():
        text = "".join(event["content"] for event in answers[user])
        assert name in text
        assert not any(other in text for other in names.values() if other != name)


def test_messages_of_one_dialogue_are_answered_one_at_a_time(rig: Rig) -> None:
    with ThreadPoolExecutor(5) as pool:
        bodies = list(
            pool.map(
                lambda n: rig.post("/api/chat", json={"message": f"第{n}个问题", "user_id": "a"}).json(),
                range(5),
            )
        )
    assert all(body["success"] for body in bodies)
    assert len({chat.conversation_id for chat in rig.coze.chats.values()}) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"message": ""}', b'{"message": "  "}', b'{"message": 5}', b'{"user_id": "a"}', b"\xff"],
)
def test_bad_input_is_refused_in_the_documented_shape(rig: Rig, body: bytes) -> None:
    for path in ("/api/chat", "/api/chat/stream"):
        response = rig.post(path, data=body)
        assert response.status_code == 400
        assert response.json()["success"] is False
        assert response.json()["error"]
    assert rig.log() == []


def test_health_serves_the_fields_of_every_older_client(rig: Rig) -> None:
    body = rig.get("/api/health").json()
    assert body["status"] == "ok"
    assert isinstance(body["timestamp"], int)
    assert body["service"]


def test_production_wants_a_key_with_the_right_to_chat(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(**PRODUCTION)
    question = {"json": {"message": "你好"}}
    assert rig.post("/api/chat", **question).status_code == 401
    for key, status in (("wrong", 401), ("another-long-secret-key", 403), ("a-long-enough-secret-key", 200)):
        headers = {"Authorization": f"Bearer {key}"}
        assert rig.post("/api/chat", headers=headers, **question).status_code == status


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/stream"])
def test_an_answer_leaves_nothing_that_only_the_collector_would_find(rig: Rig, path: str) -> None:
    def at_work() -> int:
        return sum(isinstance(each, Work) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = at_work()
        assert rig.post(path, json={"message": "你好", "user_id": "a"}).status_code == 200
        deadline = time.monotonic() + 10
        # its thread ends a moment after the reply
        while at_work() > before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert at_work() <= before
    finally:
        gc.enable()
