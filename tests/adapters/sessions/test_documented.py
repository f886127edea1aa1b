"""Every documented call of the session service with its documented answer, over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from storage.db import Database
from tests.adapters.sessions.conftest import ask, data_of, delete, error_of, opened, unwrapped
from tests.rig import Rig

NEW = {
    "user_id": "user123",
    "bot_id": "bot456",
    "additional_messages": [],
    "auto_save_history": True,
    "meta_data": {},
}
SESSION = {
    "session_id",
    "user_id",
    "status",
    "context",
    "chat_history",
    "created_at",
    "updated_at",
    "expires_at",
    "metadata",
}
CHAT = {
    "chat_id",
    "session_id",
    "user_message",
    "status",
    "assistant_message",
    "content",
    "reasoning_content",
    "follow_up_questions",
    "created_at",
    "updated_at",
    "completed_at",
    "error_message",
    "metadata",
}


def seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def test_health(rig: Rig) -> None:
    assert data_of(rig.get("/coze/health"))["status"] == "healthy"


def test_health_is_503_while_the_store_is_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(rig.app.extensions["yingda"].service_sessions, "db", away)
    assert error_of(rig.get("/coze/health"), 503)["code"] == "UNAVAILABLE"
    assert error_of(rig.post("/coze/sessions", json=NEW), 503)["code"] == "UNAVAILABLE"
    away.close()


def test_a_session_is_opened_with_every_field(rig: Rig) -> None:
    session = data_of(rig.post("/coze/sessions", json={**NEW, "meta_data": {"from": "小程序", "n": 1}}))
    assert set(session) == SESSION
    assert (session["user_id"], session["status"], session["chat_history"]) == ("user123", "active", [])
    assert session["metadata"] == {"from": "小程序", "n": 1}
    # the wish is noted; who answers is what the installation says
    assert session["context"]["requested_bot_id"] == "bot456"
    assert session["context"]["bot_id"] == "7000000000000000001"
    assert seconds(session["created_at"], session["expires_at"]) == 3600


def test_a_message_is_answered_with_every_field(rig: Rig) -> None:
    session = opened(rig)
    chat = data_of(
        rig.post(
            f"/coze/sessions/{session}/messages", json={"message": "Hello, how are you?", "stream": False}
        )
    )
    assert set(chat) == CHAT
    assert (chat["session_id"], chat["user_message"]) == (session, "Hello, how are you?")
    assert (chat["status"], chat["error_message"], chat["reasoning_content"]) == ("completed", None, None)
    assert chat["assistant_message"] == chat["content"] == rig.log()[0]["answer"]
    assert chat["completed_at"]
    # nothing but the chat's own id leads to its result, and it says the same
    assert data_of(rig.get(f"/coze/chats/{chat['chat_id']}/result")) == chat
    logged = rig.log()[0]
    assert (logged["platform"], logged["user_id"], logged["session_id"]) == ("sessions", "user123", session)
    assert logged["delivery"] == "sync"


def test_a_session_shows_its_history_twice(rig: Rig) -> None:
    session = opened(rig)
    chat = ask(rig, session, "你好")
    response = rig.get(f"/coze/sessions/{session}")
    found = data_of(response)
    assert found == response.json()["data"]["session"]
    assert set(found) == SESSION
    assert [(line["role"], line["content"]) for line in found["chat_history"]] == [
        ("user", "你好"),
        ("assistant", chat["content"]),
    ]


def test_a_terminated_session_is_gone_and_its_results_are_not(rig: Rig) -> None:
    session = opened(rig)
    chat = ask(rig, session, "你好")
    assert data_of(delete(rig, f"/coze/sessions/{session}")) == {
        "session_id": session,
        "status": "terminated",
    }
    for again in (
        rig.get(f"/coze/sessions/{session}"),
        rig.get(f"/coze/sessions/{session}/chats"),
        delete(rig, f"/coze/sessions/{session}"),
        rig.post(f"/coze/sessions/{session}/messages", json={"message": "还在吗"}),
    ):
        assert error_of(again, 404)["code"] == "NOT_FOUND"
    assert data_of(rig.get(f"/coze/chats/{chat['chat_id']}/result")) == chat


def test_the_chats_of_a_session_and_the_sessions_of_a_user(rig: Rig) -> None:
    first, second, other = opened(rig), opened(rig), opened(rig, "someone/else")
    chats = [ask(rig, first, question) for question in ("一", "二")]
    ask(rig, second, "三")
    assert data_of(rig.get(f"/coze/sessions/{first}/chats"))["chats"] == chats
    found = data_of(rig.get("/coze/users/user123/sessions"))
    assert [each["session_id"] for each in found["sessions"]] == [second, first]
    assert found["total"] == 2
    assert data_of(rig.get("/coze/users/someone/else/sessions"))["sessions"][0]["session_id"] == other
    assert data_of(rig.get("/coze/users/nobody/sessions"))["sessions"] == []


def test_cleaning_up_and_counting(rig: Rig, clock: Callable[[float], None]) -> None:
    session = opened(rig)
    opened(rig, "b")
    ask(rig, session, "你好")
    delete(rig, f"/coze/sessions/{opened(rig, 'c')}")
    counts = data_of(rig.get("/coze/admin/stats"))
    assert {name: counts[name] for name in ("active_sessions", "ended_sessions", "users", "messages")} == {
        "active_sessions": 2,
        "ended_sessions": 1,
        "users": 2,
        "messages": 1,
    }
    assert counts["limits"] == {
        "message_characters": 4000,
        "sessions_per_user": 10,
        "session_seconds": 3600,
        "result_seconds": 1800,
    }
    assert data_of(rig.post("/coze/admin/cleanup")) == {"cleaned_sessions": 1}
    clock(3700)
    assert data_of(rig.post("/coze/admin/cleanup")) == {"cleaned_sessions": 2}
    assert data_of(rig.get("/coze/admin/stats"))["total_sessions"] == 0


def events(response: Any) -> list[tuple[str, dict[str, Any]]]:
    records = [each.split("\n") for each in response.content.decode().split("\n\n") if each]
    return [(each[0].removeprefix("event: "), json.loads(each[1].removeprefix("data: "))) for each in records]


def test_a_stream_names_the_chat_brings_pieces_and_ends_with_the_envelope(rig: Rig) -> None:
    session = opened(rig)
    body = {"message": "[[pace:0.1]] 你好", "stream": True}
    response = rig.post(f"/coze/sessions/{session}/messages", json=body)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    got = events(response)
    assert [kind for kind, _ in got] == ["chat"] + ["delta"] * (len(got) - 2) + ["done"]
    assert len(got) > 4
    chat = unwrapped(got[-1][1])
    assert set(chat) == CHAT
    assert "".join(data["content"] for kind, data in got if kind == "delta") == chat["content"]
    assert got[0][1] == {"chat_id": chat["chat_id"], "session_id": session}
    assert rig.log()[0]["delivery"] == "stream"
    assert data_of(rig.get(f"/coze/chats/{chat['chat_id']}/result")) == chat


@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_bot_is_an_error_that_shows_nothing_of_coze(rig: Rig, stream: bool) -> None:
    session = opened(rig)
    rig.coze.faults.queue("chat_failed")
    response = rig.post(f"/coze/sessions/{session}/messages", json={"message": "你好", "stream": stream})
    if stream:
        kind, body = events(response)[-1]
        assert kind == "error"
        error = body["error"]
    else:
        error = error_of(response, 502)
    assert "5000" not in error["message"]
    chat = data_of(rig.get(f"/coze/chats/{error['details']['chat_id']}/result"))
    assert (chat["status"], chat["content"], chat["error_message"]) == ("failed", None, error["message"])


def test_a_slow_answer_is_in_progress_and_fetched_later(
    open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONS_WAIT", "0.2")
    rig = open_rig()
    chat = ask(rig, opened(rig), "慢[[delay:0.6]]")
    assert (chat["status"], chat["content"], chat["completed_at"]) == ("in_progress", None, None)
    deadline = time.monotonic() + 60
    while chat["status"] == "in_progress" and time.monotonic() < deadline:
        time.sleep(0.1)
        chat = data_of(rig.get(f"/coze/chats/{chat['chat_id']}/result"))
    assert chat["status"] == "completed"
    assert chat["content"]
    assert rig.log()[0]["delivery"] == "fetch"


# whose memory it is


def test_memories_of_two_users_and_of_two_sessions_stay_apart(rig: Rig) -> None:
    names = {"a": "张三", "b": "李四"}
    sessions = {user: opened(rig, user) for user in names}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda user: ask(rig, sessions[user], f"我叫{names[user]}"), names))
        answers = list(pool.map(lambda user: ask(rig, sessions[user], "我叫什么？")["content"], names))
    assert answers == ["您叫张三。", "您叫李四。"]
    assert "没有告诉过" in ask(rig, opened(rig, "a"), "我叫什么？")["content"]
    # the old service sent everybody to Coze as one
    chats = [each.json for each in rig.coze.requests if each.path == "/v3/chat"]
    assert len({each["user_id"] for each in chats}) == 3


def test_additional_messages_are_remembered_and_shown(rig: Rig) -> None:
    earlier = [{"role": "user", "content": "我叫王五"}, {"role": "assistant", "content": "您好，王五"}]
    session = opened(rig, additional_messages=[{**each, "content_type": "text"} for each in earlier])
    assert ask(rig, session, "我叫什么？")["content"] == "您叫王五。"
    # told once: from then on the conversation knows
    ask(rig, session, "你好")
    sent = [each.json["additional_messages"] for each in rig.coze.requests if each.path == "/v3/chat"]
    assert [len(each) for each in sent] == [3, 1]
    history = data_of(rig.get(f"/coze/sessions/{session}"))["chat_history"]
    assert [{name: line[name] for name in ("role", "content")} for line in history[:2]] == earlier


def test_without_saved_history_no_message_draws_on_another(rig: Rig) -> None:
    session = opened(rig, auto_save_history=False)
    ask(rig, session, "我叫张三")
    assert "没有告诉过" in ask(rig, session, "我叫什么？")["content"]
    assert data_of(rig.get(f"/coze/sessions/{session}"))["chat_history"] == []
    assert len(data_of(rig.get(f"/coze/sessions/{session}/chats"))["chats"]) == 2
