"""One check for each fault in what a chat is and says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.coze.fault_steps import ASKED, QUIET, answer, query, whole
from tests.sandbox.coze.fault_steps import ask as asked

# refusals


def json_error_200(api: Any) -> None:
    got = asked(api, "json_error_200", code=4015)
    assert (got.status, got.json["code"]) == (200, 4015)
    assert got.headers["content-type"].startswith("application/json")
    assert got.headers["x-tt-logid"] == got.json["detail"]["logid"]
    assert not api.coze.chats


def code(api: Any) -> None:
    statuses = {4100: 401, 4101: 403, 4200: 404, 700012006: 200, 4009: 200, 4013: 200, 4028: 200, 4016: 200}
    for number, status in statuses.items():
        got = asked(api, "code", code=number)
        assert (got.status, got.json["code"]) == (status, number)
        assert got.json["msg"]


def http_status(api: Any) -> None:
    for status in (401, 403, 429, 503):
        assert asked(api, "http_status", status=status).json["code"]
    assert asked(api, "http_status", status=429, retry_after=7).headers["retry-after"] == "7"
    assert asked(api, "http_status", status=400).raw == b"missing required Host header"
    assert asked(api, "http_status", status=500).headers["content-type"].startswith("text/plain")
    assert b"Tengine" in asked(api, "http_status", status=502).raw
    assert not api.coze.chats
    assert b"<html>" in asked(api, "http_status", status=504).raw
    assert api.truth() == [answer(api)]


def html_200(api: Any) -> None:
    got = asked(api, "html_200")
    assert got.status == 200
    assert got.headers["content-type"].startswith("text/html")


def empty_body(api: Any) -> None:
    got = asked(api, "empty_body")
    assert (got.status, got.raw) == (200, b"")


def broken_json(api: Any) -> None:
    with pytest.raises(json.JSONDecodeError):
        _ = asked(api, "broken_json").json


# script


def chat_failed(api: Any) -> None:
    got = asked(api, "chat_failed", code=5000, after=2)
    assert got.names[-4:] == ["conversation.message.delta"] * 2 + ["conversation.chat.failed", "done"]
    assert got.data("conversation.chat.failed")[0]["last_error"]["code"] == 5000
    shown = api.call("GET", "/v3/chat/retrieve", params=query(api)).json()["data"]
    assert (shown["status"], shown["last_error"]["code"]) == ("failed", 5000)


def chat_failed_bare(api: Any) -> None:
    got = asked(api, "chat_failed_bare", code=701231, msg="error")
    assert got.data("conversation.chat.failed") == [{"code": 701231, "msg": "error"}]
    assert api.last_chat().status == "failed"


def error_event(api: Any) -> None:
    got = asked(api, "error_event", code=4016)
    assert got.names[-1] == "error"
    assert got.data("error")[0]["code"] == 4016
    assert asked(api, "error_event", shape="string", code=777777775).data("error")[0]["code"] == "777777775"
    assert asked(api, "error_event", shape="empty").data("error") == [{}]
    text = asked(api, "error_event", shape="text")
    assert "internal error\n" in text.events[-1][1]
    assert asked(api, "error_event", alone=1).names == ["error"]
    assert asked(api, "error_event", done=1).names[-2:] == ["error", "done"]
    assert api.last_chat().status == "failed"


def empty_answer(api: Any) -> None:
    got = asked(api, "empty_answer")
    assert (got.deltas, got.text()) == ("", [""])
    assert api.truth() == [""]


def completed_differs(api: Any) -> None:
    got = whole(api, "completed_differs")
    assert got.deltas == got.text()[0][:-1]


def only_completed(api: Any) -> None:
    assert whole(api, "only_completed").deltas == ""


def deltas_only(api: Any) -> None:
    got = asked(api, "deltas_only")
    assert got.text() == []
    assert got.deltas == api.truth()[0] == answer(api)


def untyped_delta(api: Any) -> None:
    got = whole(api, "untyped_delta")
    assert all("type" not in each for each in got.data("conversation.message.delta"))


def duplicate_completed(api: Any) -> None:
    got = whole(api, "duplicate_completed")
    assert got.text() == [answer(api)] * 2


def answers(api: Any) -> None:
    got = asked(api, "answers", n=3)
    ids = {each["id"] for each in got.data("conversation.message.delta")}
    assert len(ids) == len(set(got.text())) == 3
    assert api.truth() == got.text()


def ask(api: Any) -> None:
    got = asked(api, "ask")
    action = got.data("conversation.chat.requires_action")[0]["required_action"]
    assert action["submit_tool_outputs"]["tool_calls"][0]["type"] == "reply_message"
    assert got.text()[0].startswith("请问")
    follow = api.ask("A", conversation=api.last_chat().conversation_id)
    assert "已收到您的选择：A" in follow.text()[0]


def tool_call(api: Any) -> None:
    got = asked(api, "tool_call")
    action = got.data("conversation.chat.requires_action")[0]["required_action"]
    chat = api.last_chat()
    calls = action["submit_tool_outputs"]["tool_calls"]
    outputs = [{"tool_call_id": each["id"], "output": "北京"} for each in calls]
    path = f"/v3/chat/submit_tool_outputs?conversation_id={chat.conversation_id}&chat_id={chat.id}"
    assert api.wire("POST", path, {"tool_outputs": [], "stream": True}).json["code"] == 4000
    done = api.wire("POST", path, {"tool_outputs": outputs, "stream": True})
    assert "北京" in done.text()[0]
    assert done.names[-1] == "done"
    assert api.truth() == done.text()


def tool(api: Any) -> None:
    got = whole(api, "tool")
    assert "weather-query" in got.text("function_call")[0]
    assert json.loads(got.text("tool_response")[0])["weather"]


def card(api: Any) -> None:
    got = asked(api, "card")
    message = next(each for each in got.data("conversation.message.completed") if each["type"] == "answer")
    assert message["content_type"] == "card"
    assert json.loads(message["content"])["card_type"] == 3
    assert got.deltas == ""


def knowledge(api: Any) -> None:
    documents = json.loads(whole(api, "knowledge").text("knowledge")[0])["documents"]
    assert [set(each) for each in documents] == [{"id", "name", "url", "score", "content"}] * 2


def knowledge_recall(api: Any) -> None:
    packet = json.loads(whole(api, "knowledge_recall").text("verbose")[0])
    assert packet["msg_type"] == "knowledge_recall"
    assert json.loads(packet["data"])["chunks"][0]["meta"]["document"]["name"] == "新手使用指南"


def verbose(api: Any) -> None:
    kinds = [json.loads(each)["msg_type"] for each in whole(api, "verbose").text("verbose")]
    assert kinds == ["empty result", "multi_agents_jump_to", "generate_answer_finish"]


def reasoning(api: Any) -> None:
    got = whole(api, "reasoning")
    thoughts = [each for each in got.data("conversation.message.delta") if "reasoning_content" in each]
    assert thoughts
    assert all(each["content"] == "" for each in thoughts)
    assert got.deltas == answer(api)


def follow_up(api: Any) -> None:
    assert len(whole(api, "follow_up", n=2).text("follow_up")) == 2


def markdown(api: Any) -> None:
    text = asked(api, "markdown").text()[0]
    assert "](https://" in text
    assert "![" in text


def long(api: Any) -> None:
    got = asked(api, "long", chars=6000)
    assert len(got.text()[0]) >= 6000
    assert got.deltas == got.text()[0]


def audio_after_completed(api: Any) -> None:
    got = whole(api, "audio_after_completed")
    assert got.names[-4:] == ["conversation.chat.completed", *["conversation.audio.delta"] * 2, "done"]


def unknown_events(api: Any) -> None:
    got = whole(api, "unknown_events")
    assert {"conversation.chat.thinking", "heartbeat.v9", "conversation.message.reaction"} < set(got.names)


def malformed_event(api: Any) -> None:
    assert ("conversation.message.delta", '{"content":"坏') in whole(api, "malformed_event").events


def big_event(api: Any) -> None:
    assert max(len(data) for _, data in whole(api, "big_event").events) > 366_000
    got = asked(api, "big_event", type="answer")
    assert len(got.text()[0].encode()) > 1_000_000


def odd_chat_object(api: Any) -> None:
    done = whole(api, "odd_chat_object").data("conversation.chat.completed")[0]
    assert (done["last_error"], done["required_action"], done["usage"]) == (None, {"type": ""}, {})


def other_conversation_id(api: Any) -> None:
    api.ask(ASKED)
    first = api.last_chat().conversation_id
    api.coze.faults.queue("other_conversation_id")
    got = api.ask(ASKED, conversation=first)
    assert got.data("conversation.chat.created")[0]["conversation_id"] != first


def endless(api: Any) -> None:
    got = asked(api, "endless", timeout=QUIET, every=0.5, seconds=600)
    assert isinstance(got.broken, TimeoutError)
    chat = api.last_chat()
    assert chat.status == "in_progress"
    assert api.ask(ASKED, conversation=chat.conversation_id).data("error")[0]["code"] == 4016
    told = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    assert api.call("POST", "/v3/chat/cancel", json=told).json()["data"]["status"] == "canceled"
    assert api.ask(ASKED, conversation=chat.conversation_id).text() == [answer(api)]
