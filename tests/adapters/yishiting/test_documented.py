"""Every call of the platform's published document, and its answer field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
import requests

from tests.rig import TIMEOUT, Rig

STREAMED = {
    "user": "test_user",
    "msg_type": "text",
    "content": "你好",
    "msg_id": "test_123",
    "session_id": "session_456",
}
SYNCHRONOUS = {"user": "test_user", "msg_type": "text", "content": "你好"}
FULL = {
    "user": "用户名",
    "msg_type": "text",
    "content": "给我使用指南",
    "msg_id": "消息ID",
    "session_id": "会话ID",
    "business_keys": ["业务标识"],
}
JSON = {"Content-Type": "application/json"}


def post(rig: Rig, path: str, body: dict[str, object], **options: bool) -> requests.Response:
    """As curl sends it: the words in UTF-8, not escaped."""
    sent = json.dumps(body, ensure_ascii=False).encode()
    return requests.post(rig.url + path, data=sent, headers=JSON, timeout=TIMEOUT, **options)


def test_curl_of_the_streamed_endpoint(rig: Rig) -> None:
    with post(rig, "/chat", STREAMED, stream=True) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", response.headers["X-Trace-ID"])
        body = response.content.decode("utf-8")
    *records, end = body.split("\n\n")
    assert end == ""
    frames = []
    for record in records:
        event, data = record.split("\n")
        assert event == "event:delta"
        assert data.startswith('data:{"response":')
        frames.append(json.loads(data[5:]))
    *deltas, last = frames
    assert deltas
    for frame in deltas:
        assert list(frame) == ["response", "finished", "global_output"]
        assert isinstance(frame["response"], str)
        assert frame["finished"] is False
        assert frame["global_output"] == {"urls": "", "context": "", "answer_success": 0, "docs": []}
    assert list(last) == ["response", "finished", "global_output"]
    assert last["finished"] is True
    assert last["global_output"] == {"answer_success": 1, "docs": []}
    assert "".join(frame["response"] for frame in frames) == rig.log()[0]["answer"]


def test_curl_of_the_synchronous_endpoint(rig: Rig) -> None:
    response = post(rig, "/chat/sync", SYNCHRONOUS)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    assert body == {
        "code": 0,
        "err_msg": "",
        "is_async_response": False,
        "is_recall_success": 0,
        "recall_docs": [],
        "msg_type": "text",
        "msg_content": rig.log()[0]["answer"],
        "third_party_trace_id": response.headers["X-Trace-ID"],
    }
    assert body["msg_content"]


def test_the_full_request_format_recalls_documents_in_both_forms(rig: Rig) -> None:
    body = post(rig, "/chat/sync", {**FULL}).json()
    assert body["is_recall_success"] == 1
    for doc in body["recall_docs"]:
        assert list(doc) == ["doc_id", "space_id", "title", "url", "score"]
        assert all(isinstance(doc[name], str) for name in ("doc_id", "space_id", "title", "url"))
        assert isinstance(doc["score"], float)
    last = json.loads(post(rig, "/chat", FULL).text.strip().rsplit("data:", 1)[1])
    assert last["global_output"]["docs"] == [
        {name: doc[name] for name in ("doc_id", "title", "url")} for doc in body["recall_docs"]
    ]


def test_the_asynchronous_endpoint(rig: Rig) -> None:
    response = post(rig, "/chat/async", FULL)
    assert response.status_code == 200
    assert response.json() == {
        "code": 0,
        "err_msg": "",
        "is_async_response": True,
        "third_party_trace_id": response.headers["X-Trace-ID"],
    }


def test_the_health_check(rig: Rig) -> None:
    response = rig.get("/health")
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["status", "service", "version"]
    assert body["status"] == "healthy"
    assert all(isinstance(each, str) and each for each in body.values())


@pytest.mark.parametrize("path", ["/chat", "/chat/sync", "/chat/async", "/robots/default/chat"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense", 400),
        (b'{"user": "a", "msg_type": "text"}', 400),
        (b'{"user": "a", "msg_type": "voice", "content": "x"}', 400),
        (b"x" * 70_000, 413),
    ],
)
def test_each_error_has_the_documented_shape(rig: Rig, path: str, sent: bytes, status: int) -> None:
    response = rig.post(path, data=sent, headers=JSON)
    assert_refused(response, status)
    assert rig.coze.chats == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/chat", 405),
        ("PUT", "/chat/sync", 405),
        ("GET", "/robots/default/chat/async", 405),
        ("POST", "/chat/unknown", 404),
        ("POST", "/robots/nobody/chat", 404),
        ("POST", "/robots/nobody", 404),
        ("DELETE", "/health", 405),
    ],
)
def test_wrong_paths_and_methods_have_it_too(rig: Rig, method: str, path: str, status: int) -> None:
    response = requests.request(method, rig.url + path, json=STREAMED, timeout=TIMEOUT)
    assert_refused(response, status)


def test_a_failure_inside_has_it_too(open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    rig = open_rig()

    def broken(*_: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(rig.app.extensions["yingda"].intake, "answer", broken)
    response = post(rig, "/chat/sync", SYNCHRONOUS)
    assert_refused(response, 500)
    assert "secret" not in response.text


def assert_refused(response: requests.Response, status: int) -> None:
    assert response.status_code == status
    body = response.json()
    assert list(body) == ["code", "err_msg"]
    assert body["code"] == 1
    assert isinstance(body["err_msg"], str)
    assert body["err_msg"]
