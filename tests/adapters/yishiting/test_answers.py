"""易事厅's endpoints, asked as its robots ask them, through the whole gateway and the local Coze."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.adapters.yishiting.desk import QUESTION, ask, frames
from tests.rig import Rig


def test_the_stream_has_exactly_the_documented_frames(rig: Rig) -> None:
    response = ask(rig, "/chat", content="[[pace:0.1]] 给我使用指南")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")
    records = [record for record in response.content.decode().split("\n\n") if record]
    assert all(record.startswith("event:delta\ndata:{") for record in records)
    frames = [json.loads(record.split("data:", 1)[1]) for record in records]
    *deltas, last = frames
    assert len(deltas) > 3
    for frame in deltas:
        assert set(frame) == {"response", "finished", "global_output"}
        assert frame["finished"] is False
        assert frame["global_output"] == {"urls": "", "context": "", "answer_success": 0, "docs": []}
    assert last["finished"] is True
    assert set(last["global_output"]) == {"answer_success", "docs"}
    assert last["global_output"]["answer_success"] == 1
    assert set(last["global_output"]["docs"][0]) == {"doc_id", "title", "url"}
    row = rig.log()[0]
    assert row["answer"] == "".join(frame["response"] for frame in frames)
    assert (row["platform"], row["status"], row["delivery"]) == ("yishiting", "delivered", "stream")
    assert response.headers["X-Trace-ID"] == row["trace_id"]


def test_the_sync_answer_has_exactly_the_documented_fields(rig: Rig) -> None:
    response = ask(rig, content="给我使用指南")
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {
        "code",
        "err_msg",
        "is_async_response",
        "is_recall_success",
        "recall_docs",
        "msg_type",
        "msg_content",
        "third_party_trace_id",
    }
    assert (body["code"], body["err_msg"], body["is_async_response"]) == (0, "", False)
    assert (body["is_recall_success"], body["msg_type"]) == (1, "text")
    assert set(body["recall_docs"][0]) == {"doc_id", "space_id", "title", "url", "score"}
    row = rig.log()[0]
    assert (row["trace_id"], row["answer"]) == (body["third_party_trace_id"], body["msg_content"])
    assert row["delivery"] == "sync"


def test_only_user_type_and_content_are_needed(rig: Rig) -> None:
    body = ask(rig, msg_id=None, session_id=None, business_keys=None).json()
    assert body["code"] == 0
    assert rig.log()[0]["session_id"] == "test_user"


def test_unknown_fields_are_tolerated(rig: Rig) -> None:
    assert ask(rig, raw_msg={"response_url": "https://desk.example/later"}, mood="好").json()["code"] == 0


def test_the_same_message_twice_is_one_exchange_with_one_answer(rig: Rig) -> None:
    first, second = ask(rig).json(), ask(rig).json()
    assert first == second
    assert len(rig.coze.chats) == 1


def test_two_sessions_of_one_user_do_not_share_a_memory(rig: Rig) -> None:
    ask(rig, content="我叫张三", session_id="a", msg_id="1")
    ask(rig, content="我叫李四", session_id="b", msg_id="2")
    assert "张三" in ask(rig, content="我叫什么？", session_id="a", msg_id="3").json()["msg_content"]
    other = ask(rig, content="我叫什么？", session_id="b", msg_id="4").json()["msg_content"]
    assert "李四" in other
    assert "张三" not in other


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"user": None}, "user"),
        ({"content": None}, "content"),
        ({"msg_type": None}, "msg_type"),
        ({"msg_type": "image"}, "msg_type"),
        ({"content": "   "}, "content"),
        ({"content": 5}, "content"),
        ({"user": "u" * 200}, "user"),
    ],
)
def test_a_bad_field_is_named_in_its_error_shape(rig: Rig, changes: dict[str, Any], names: str) -> None:
    for path in ("/chat", "/chat/sync"):
        response = ask(rig, path, **changes)
        assert response.status_code == 400
        body = response.json()
        assert set(body) == {"code", "err_msg"}
        assert body["code"] == 1
        assert names in body["err_msg"]
    assert rig.coze.chats == {}


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"user":', b"\xff\xfe"])
def test_what_is_not_a_json_object_is_refused(rig: Rig, body: bytes) -> None:
    response = rig.post("/chat", data=body)
    assert response.status_code == 400
    assert response.json()["code"] == 1


def test_wrong_methods_and_paths_have_the_same_error_shape(rig: Rig) -> None:
    for response in (
        rig.get("/chat"),
        rig.post("/chat/nowhere"),
    ):
        assert response.status_code in {404, 405}
        assert set(response.json()) == {"code", "err_msg"}


def test_health_has_the_documented_fields(rig: Rig) -> None:
    body = rig.get("/health").json()
    assert body["status"] == "healthy"
    assert set(body) == {"status", "service", "version"}


def test_a_failing_coze_is_a_failure_in_both_forms_and_shows_nothing_of_it(rig: Rig) -> None:
    rig.coze.faults.queue("chat_failed")
    body = ask(rig, msg_id="1").json()
    assert body["code"] == 1
    assert body["err_msg"] == body["msg_content"]
    assert "5000" not in body["err_msg"]
    rig.coze.faults.queue("chat_failed")
    last = frames(rig, msg_id="2")[-1]
    assert last["finished"] is True
    assert last["global_output"]["answer_success"] == 0
    row = rig.log()[0]
    assert row["error_code"].startswith("coze_")
    assert row["status"] == "delivered"


def test_the_stream_ends_cleanly_when_the_budget_is_over(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(yishiting_budget=0.3)
    last = frames(rig, content="你好[[delay:1.5]]")[-1]
    assert last["finished"] is True
    assert last["global_output"]["answer_success"] == 0
    body = ask(rig, content="你好[[delay:1.5]]", msg_id="2").json()
    assert body["code"] == 1


def test_a_shared_token_is_required_when_set(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(yishiting_token="the-shared-token-of-the-desk")
    assert ask(rig).status_code == 401
    wrong = rig.post("/chat", json=QUESTION, headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 403
    assert rig.coze.chats == {}
    right = {"Authorization": "Bearer the-shared-token-of-the-desk"}
    assert rig.post("/chat/sync", json=QUESTION, headers=right).json()["code"] == 0


@pytest.mark.parametrize(("allowed", "status"), [("10.0.0.0/8", 403), ("10.0.0.1, 127.0.0.0/8", 200)])
def test_only_listed_addresses_may_call_when_a_list_is_set(
    open_rig: Callable[..., Rig], allowed: str, status: int
) -> None:
    assert ask(open_rig(yishiting_allowed_ips=allowed)).status_code == status
