"""What the platform refuses, how long a chat runs, and what it remembers."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sandbox.coze import LocalCoze

QUIET = 0.2


def wait_for(state: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not state():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bot_id": 7000000000000000001}, 4000),
        ({"bot_id": None}, 4000),
        ({"user_id": 1}, 4000),
        ({"user_id": ""}, 4000),
        ({"stream": "true"}, 4000),
        ({"additional_messages": []}, 4000),
        ({"additional_messages": "你好"}, 4000),
        ({"additional_messages": ["你好"]}, 4000),
        ({"additional_messages": [{"role": "user", "content": 1}]}, 4000),
        ({"additional_messages": [{"role": "system", "content": "x"}]}, 4000),
        ({"additional_messages": [{"role": "user", "content": "x", "type": "answer"}]}, 4000),
        ({"additional_messages": [{"role": "assistant", "content": "x"}]}, 4000),
        ({"additional_messages": [{"role": "user", "content": "x"}] * 101}, 4004),
        ({"parameters": "{}"}, 4000),
        ({"meta_data": {"a": 1}}, 4000),
        ({"meta_data": {"a": "b" * 513}}, 4003),
        ({"meta_data": {"a" * 65: "b"}}, 4003),
        ({"meta_data": {str(n): "b" for n in range(17)}}, 4003),
        ({"stream": False, "auto_save_history": False}, 4007),
    ],
)
def test_a_request_out_of_order_is_refused_by_its_code(api: Any, change: dict[str, Any], code: int) -> None:
    got = api.wire("POST", "/v3/chat", {**api.body("你好"), **change})
    assert got.json["code"] == code
    assert got.json["msg"]
    assert got.json["detail"]["logid"] == got.headers["x-tt-logid"]
    assert not api.coze.chats


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("看图", 4000),
        ('{"type":"text"}', 4000),
        ('[{"type":"text","text":"看图"}]', 4000),
        ('[{"type":"image","file_url":"https://example.com/a.png"}]', 4000),
        ('[{"type":"text","text":"看图"},{"type":"image","file_id":"unknown"}]', 4000),
        ('[{"type":"text","text":"看图"},{"type":"image","file_url":"https://example.com/a.png"}]', 0),
    ],
)
def test_an_object_string_has_its_rules(api: Any, content: str, code: int) -> None:
    message = {"role": "user", "content_type": "object_string", "content": content}
    got = api.wire("POST", "/v3/chat", {**api.body(""), "additional_messages": [message], "stream": False})
    assert got.json["code"] == code


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/workflows/chat", {"workflow_id": "1", "bot_id": "1", "app_id": "2"}, 4000),
        ("/v1/workflows/chat", {"workflow_id": "1"}, 4000),
        ("/v1/workflows/chat", {"workflow_id": "1", "app_id": "2", "additional_messages": []}, 4000),
        ("/v1/workflow/run", {"workflow_id": 1}, 4000),
        ("/v1/workflow/run", {"workflow_id": "1", "bot_id": "1", "app_id": "2"}, 4000),
        ("/v1/workflow/run", {"workflow_id": "1", "is_async": True}, 6003),
        ("/v1/workflow/stream_resume", {"workflow_id": "1", "event_id": "x"}, 4000),
        ("/v3/chat/cancel", {}, 4002),
        ("/v1/conversation/message/list?conversation_id=7", {}, 4200),
        ("/v2/nothing", {}, 4000),
    ],
)
def test_other_endpoints_refuse_too(api: Any, path: str, body: dict[str, Any], code: int) -> None:
    got = api.wire("POST", path, body)
    assert got.json["code"] == code
    if path == "/v2/nothing":
        assert got.status == 404


@pytest.mark.parametrize("token", ["", "pat_other", "czs_other"])
def test_a_bad_token_is_refused(api: Any, token: str) -> None:
    api.token = token
    got = api.ask("你好")
    assert (got.status, got.json["code"]) == (401, 4100)


def test_a_body_that_is_no_json_is_refused(api: Any) -> None:
    got = api.call("POST", "/v3/chat", data=b"{", headers={"Content-Type": "application/json"})
    assert got.json()["code"] == 4000


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([], 4300),
        ([("file", ("a.png", b""))], 4300),
        ([("file", ("a.png", b"1")), ("file", ("b.png", b"1"))], 4301),
        ([("file", ("a.amr", b"1"))], 4303),
        ([("file", ("noname", b"1"))], 4303),
        ([("file", ("a.PNG", b"1"))], 0),
    ],
)
def test_an_upload_is_one_file_of_a_known_type(api: Any, files: Any, code: int) -> None:
    assert api.call("POST", "/v1/files/upload", files=files).json()["code"] == code


def test_an_unknown_conversation_is_refused(api: Any) -> None:
    assert api.ask("你好", conversation="7").json["code"] == 4002
    query = {"conversation_id": "7", "chat_id": "8"}
    assert api.call("GET", "/v3/chat/retrieve", params=query).json()["code"] == 4002
    api.ask("你好")
    query["conversation_id"] = api.last_chat().conversation_id
    assert api.call("GET", "/v3/chat/retrieve", params=query).json()["code"] == 4001


def test_a_chat_runs_on_without_its_reader_and_keeps_its_conversation_busy(api: Any) -> None:
    got = api.ask("你好[[delay:0.6]]", timeout=QUIET)
    assert isinstance(got.broken, TimeoutError)
    chat = api.last_chat()
    busy = api.ask("还在吗", conversation=chat.conversation_id)
    assert busy.names == ["error"]
    assert busy.data("error")[0]["code"] == 4016
    assert api.ask("还在吗", conversation=chat.conversation_id, stream=False).json["code"] == 4016
    assert api.ask("你好").names[-1] == "done"
    wait_for(lambda: chat.status == "completed")
    query = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    listed = api.call("GET", "/v3/chat/message/list", params=query).json()["data"]
    assert listed[0]["content"].startswith("您好")
    assert api.ask("还在吗", conversation=chat.conversation_id).names[-1] == "done"


def test_of_chats_begun_at_once_in_one_conversation_one_runs(api: Any) -> None:
    api.ask("你好")
    conversation = api.last_chat().conversation_id
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(api.ask, "你好[[delay:0.5]]", conversation=conversation, stream=False)
            for _ in range(4)
        ]
        codes = [each.result().json["code"] for each in asked]
    assert sorted(codes) == [0, 4016, 4016, 4016]


def test_messages_appear_when_they_are_complete(api: Any) -> None:
    api.ask("指南在哪[[delay:0.6]]", timeout=QUIET)
    chat = api.last_chat()
    query = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    early = api.call("GET", "/v3/chat/message/list", params=query).json()["data"]
    assert [each["type"] for each in early] == ["knowledge"]
    wait_for(lambda: not chat.running)
    late = api.call("GET", "/v3/chat/message/list", params=query).json()["data"]
    assert [each["type"] for each in late] == ["knowledge", "answer", "verbose"]


def test_a_cancelled_question_is_forgotten(api: Any) -> None:
    api.ask("你好")
    conversation = api.last_chat().conversation_id
    api.ask("我叫张三[[delay:30]]", conversation=conversation, timeout=QUIET)
    api.call("POST", "/v3/chat/cancel", json={"conversation_id": conversation, "chat_id": api.last_chat().id})
    assert "不知道" in api.ask("我叫什么", conversation=conversation).text()[0]


def test_the_stream_of_a_cancelled_chat_never_says_that_it_completed(api: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(api.ask, "你好[[delay:0.6]]")
        wait_for(lambda: bool(api.coze.chats))
        chat = api.last_chat()
        api.call(
            "POST", "/v3/chat/cancel", json={"conversation_id": chat.conversation_id, "chat_id": chat.id}
        )
        got = reading.result()
    assert "conversation.chat.completed" not in got.names
    assert got.names[-1] == "done"


def test_pace_is_the_time_between_deltas(api: Any) -> None:
    began = time.monotonic()
    got = api.ask("你好[[pace:0.03]]")
    deltas = got.names.count("conversation.message.delta")
    assert time.monotonic() - began >= 0.03 * deltas
    assert len(got.pieces) > deltas / 2


def test_what_is_not_saved_is_not_found(api: Any) -> None:
    got = api.ask("我叫张三", auto_save_history=False)
    chat = got.data("conversation.chat.created")[0]
    query = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
    assert api.call("GET", "/v3/chat/retrieve", params=query).json()["code"] == 4001
    assert "不知道" in api.ask("我叫什么", conversation=chat["conversation_id"]).text()[0]


def test_conversations_do_not_know_of_each_other(api: Any) -> None:
    api.ask("我叫张三，今年25岁")
    first = api.last_chat().conversation_id
    api.ask("我叫李四")
    second = api.last_chat().conversation_id
    assert "张三" in api.ask("我叫什么？", conversation=first).text()[0]
    assert "25" in api.ask("我几岁了？", conversation=first).text()[0]
    assert "李四" in api.ask("我叫什么？", conversation=second).text()[0]
    assert "不知道" in api.ask("我多大？", conversation=second).text()[0]


def test_the_last_message_of_a_conversation_is_the_question_when_none_is_given(api: Any) -> None:
    messages = [{"role": "user", "content": "你好", "content_type": "text"}]
    made = api.call("POST", "/v1/conversation/create", json={"messages": messages}).json()["data"]
    assert api.ask("", conversation=made["id"], additional_messages=None).text()[0].startswith("您好")


def test_half_a_character_in_a_question_does_no_harm(api: Any) -> None:
    assert api.ask("\ud83d").names[-1] == "done"
    assert len(api.truth()) == 1
    assert api.call("GET", "/_sandbox/requests").status_code == 200


def test_requests_are_recorded(coze: LocalCoze, api: Any) -> None:
    api.ask("你好", conversation="7")
    seen = coze.requests[-1]
    assert (seen.method, seen.path, seen.query) == ("POST", "/v3/chat", {"conversation_id": "7"})
    assert seen.headers["Authorization"] == f"Bearer {api.token}"
    assert seen.json == api.body("你好")
    api.call("POST", "/v1/files/upload", files={"file": ("a.png", b"12345")})
    assert b"12345" in coze.requests[-1].body
    assert coze.requests[-1].json is None
