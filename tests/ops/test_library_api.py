"""The Q&A library over HTTP, and the answers that customers get from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from flask import Flask

from sandbox.serve import Server
from settings import DEVELOPMENT_KEY
from tests.rig import Rig
from texts import Texts

KEY = {"X-Api-Key": DEVELOPMENT_KEY}
ENTRIES = "/api/library/entries"
ENTRY = {"phrasings": ["营业时间？", "几点开门"], "answer": "每天九点到十八点。"}


def call(rig: Rig, method: str, path: str, status: int = 200, **options: Any) -> Any:
    response = requests.request(method, rig.url + path, headers=KEY, timeout=(2, 20), **options)
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def add(rig: Rig, **fields: Any) -> dict[str, Any]:
    return dict(call(rig, "POST", ENTRIES, 201, json={**ENTRY, **fields}))


def say(rig: Rig, text: str, user: str = "u1") -> str:
    answer = rig.post("/api/chat", json={"message": text, "user_id": user}).json()
    return str(answer.get("message") or answer["error"])


def asked(rig: Rig) -> int:
    return sum(each.path == "/v3/chat" for each in rig.coze.requests)


def test_a_customer_is_answered_from_the_library_and_coze_is_not_asked(rig: Rig) -> None:
    made = add(rig)
    assert say(rig, "营业 时间！") == ENTRY["answer"]
    assert asked(rig) == 0
    [row] = rig.log(source="library")
    assert (row["library_id"], row["error_code"], row["status"]) == (made["id"], None, "delivered")
    assert f",library,{made['id']}," in rig.get("/api/messages?format=csv", headers=KEY).text
    entry = call(rig, "GET", f"{ENTRIES}/{made['id']}")
    assert entry["hits"] == 1
    assert entry["last_hit_at"] is not None
    assert say(rig, "别的问题")
    assert asked(rig) == 1


def test_an_answer_is_streamed_like_any_other(rig: Rig) -> None:
    add(rig)
    response = rig.post("/api/chat/stream", json={"message": "几点开门", "user_id": "u"}, stream=True)
    assert "每天九点到十八点。" in response.content.decode()


def test_a_saved_entry_answers_at_once_here_and_soon_in_another_process(
    rig: Rig, make_gateway: Callable[..., Flask]
) -> None:
    settings = rig.app.extensions["yingda"].settings
    with Server(make_gateway(coze_api_base=settings.coze_api_base, coze_api_token="pat_yingda-sandbox",
                             coze_bot_id="7000000000000000001")) as other:  # fmt: skip
        second = Rig(rig.coze, rig.app, other.url)
        say(rig, "一"), say(second, "一")
        add(rig)
        deadline = time.monotonic() + 20
        answers = []
        while time.monotonic() < deadline and ENTRY["answer"] not in answers:
            time.sleep(0.2)
            answers.append(say(second, "营业时间", user=f"u{len(answers)}"))
        assert answers[-1] == ENTRY["answer"]


def test_the_library_answers_while_coze_is_down(rig: Rig) -> None:
    rig.coze.faults.queue("http_status", on="chat", status=500)
    add(rig)
    assert say(rig, "营业时间") == ENTRY["answer"]
    assert say(rig, "别的问题") == Texts().apology
    assert asked(rig) == 1


def test_an_entry_is_written_read_changed_and_deleted(rig: Rig) -> None:
    made = add(rig, tags=["时间"], applies_to=["wechat", "web:default"], valid_from="2026-01-01")
    assert made["version"] == 1
    assert made["valid_from"] == "2026-01-01T00:00:00.000Z"
    assert made["created_by"] == "development"
    path = f"{ENTRIES}/{made['id']}"
    assert call(rig, "GET", path) == made
    patched = call(rig, "PATCH", path, json={"version": 1, "answer": "新", "valid_from": None})
    assert (patched["answer"], patched["valid_from"], patched["version"]) == ("新", None, 2)
    assert patched["phrasings"] == made["phrasings"]
    assert patched["tags"] == ["时间"]
    replaced = call(rig, "PUT", path, json={**ENTRY, "version": 2})
    assert (replaced["tags"], replaced["version"]) == ([], 3)
    call(rig, "PUT", path, 409, json={**ENTRY, "version": 2})
    call(rig, "PATCH", path, 409, json={"version": 2, "answer": "x"})
    call(rig, "DELETE", path, 409, params={"version": 2})
    call(rig, "DELETE", path, 400)
    call(rig, "DELETE", path, 204, params={"version": 3})
    call(rig, "GET", path, 404)
    call(rig, "PATCH", path, 404, json={"version": 3, "answer": "x"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"phrasings": []},
        {"phrasings": ["   "]},
        {"phrasings": ["x" * 501]},
        {"phrasings": ["q"] * 51},
        {"answer": ""},
        {"answer": " \n"},
        {"answer": None},
        {"mode": "magic"},
        {"mode": "regex", "phrasings": ["("]},
        {"mode": "regex", "phrasings": ["(x+x+)+y"]},
        {"mode": "regex", "phrasings": [".*"]},
        {"mode": "keywords", "phrasings": ["，、"]},
        {"threshold": 20},
        {"priority": 10**9},
        {"applies_to": ["WeChat"]},
        {"applies_to": ["wechat:"]},
        {"valid_from": "yesterday"},
        {"valid_from": "2026-02-01", "valid_until": "2026-01-01"},
        {"valid_from": True},
        {"surprise": 1},
        {"from_exchange": 999},
    ],
)
def test_what_cannot_be_used_is_refused_by_name(rig: Rig, wrong: dict[str, Any]) -> None:
    status = 404 if "from_exchange" in wrong else 400
    error = call(rig, "POST", ENTRIES, status, json={**ENTRY, **wrong})["error"]
    assert error["code"] in ("bad_request", "not_found")
    assert "Traceback" not in error["message"]
    assert call(rig, "GET", ENTRIES)["entries"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"text"', b"[" * 5_000, b"x" * 70_000])
def test_a_body_that_is_no_entry_is_refused(rig: Rig, body: bytes) -> None:
    for method, path in (("POST", ENTRIES), ("PUT", f"{ENTRIES}/1"), ("POST", "/api/library/test")):
        response = requests.request(method, rig.url + path, data=body, headers=KEY, timeout=10)
        assert response.status_code in (400, 413)


def test_the_same_phrasing_twice_is_a_conflict(rig: Rig) -> None:
    made = add(rig)
    error = call(rig, "POST", ENTRIES, 409, json={"phrasings": ["营业时间"], "answer": "x"})["error"]
    assert str(made["id"]) in error["message"]


def test_entries_are_listed_in_steps(rig: Rig) -> None:
    ids = [add(rig, phrasings=[f"问题{n}"])["id"] for n in range(5)]
    first = call(rig, "GET", ENTRIES, params={"limit": 3})
    rest = call(rig, "GET", ENTRIES, params={"limit": 3, "cursor": first["next_cursor"]})
    assert [entry["id"] for entry in first["entries"] + rest["entries"]] == ids
    assert rest["next_cursor"] is None
    assert [e["id"] for e in call(rig, "GET", ENTRIES, params={"q": "问题3"})["entries"]] == [ids[3]]
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"mode": "magic"}, {"surprise": "1"}):
        call(rig, "GET", ENTRIES, 400, params=wrong)


def test_a_text_can_be_tried(rig: Rig) -> None:
    exact = add(rig)
    words = add(rig, phrasings=["营业"], mode="keywords", answer="b", applies_to=["wechat"])
    tried = call(rig, "POST", "/api/library/test", json={"text": "营业时间", "platform": "wechat"})
    assert tried["answered"]
    assert [fit["entry_id"] for fit in tried["fits"]] == [exact["id"], words["id"]]
    assert tried["fits"][0] == {
        "entry_id": exact["id"],
        "answer": ENTRY["answer"],
        "mode": "exact",
        "phrasing": "营业时间？",
        "score": 100.0,
        "priority": 0,
    }
    assert tried["fits"][1]["score"] == 50.0
    assert not call(rig, "POST", "/api/library/test", json={"text": "别的"})["answered"]


def test_questions_without_an_answer_are_gathered_and_become_entries(rig: Rig) -> None:
    exchanges = rig.app.extensions["yingda"].handler.exchanges
    from handler.message import InboundMessage, Reply
    from storage.exchange_rows import Timing

    for number, text in enumerate(["退款多久？", "退款多久", "能开发票吗", "可以预约吗"]):
        message = InboundMessage("web", "default", "u", f"m{number}", text)
        claimed = exchanges.claim(message, "o", 60_000).exchange.id
        exchanges.answer(claimed, "o", Reply("抱歉", "coze", error="coze_empty"), Timing(None, 1))
    path = "/api/library/unanswered"
    first = call(rig, "GET", path, params={"limit": 2})
    assert [(q["question"], q["count"]) for q in first["questions"]] == [("退款多久", 2), ("可以预约吗", 1)]
    rest = call(rig, "GET", path, params={"limit": 2, "cursor": first["next_cursor"]})
    assert [q["question"] for q in rest["questions"]] == ["能开发票吗"]
    assert rest["next_cursor"] is None
    question = first["questions"][0]
    assert question["errors"] == {"coze_empty": 2}
    assert question["entry_id"] is None
    made = call(rig, "POST", ENTRIES, 201, json={"from_exchange": question["exchange_id"], "answer": "七天"})
    assert made["phrasings"] == ["退款多久"]
    assert call(rig, "GET", path)["questions"][0]["entry_id"] == made["id"]
    assert call(rig, "GET", path, params={"error": "coze_timeout"})["questions"] == []
    assert call(rig, "GET", path, params={"end": "2020-01-01"})["questions"] == []
    call(rig, "GET", path, 400, params={"cursor": "1-2"})
    call(rig, "GET", path, 400, params={"start": "2026-01-02", "end": "2026-01-01"})


def test_every_endpoint_wants_a_key_with_the_scope(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(api_keys=("reader:reader-key-0123456789:log", "keeper:keeper-key-0123456789:library"))
    routes = [r for r in rig.app.extensions["yingda"].routes if r.path.startswith("/api/library/")]
    assert len(routes) == 10
    for route in routes:
        url = rig.url + route.path.replace("<int:entry_id>", "1")
        for headers, status in (({}, 401), ({"X-Api-Key": "reader-key-0123456789"}, 403)):
            response = requests.request(route.methods[0], url, headers=headers, timeout=5)
            assert (response.status_code, response.json()["error"]["code"]) == (
                status,
                "unauthorized" if status == 401 else "forbidden",
            )
    assert rig.get(ENTRIES, headers={"X-Api-Key": "keeper-key-0123456789"}).status_code == 200


def test_every_endpoint_is_in_the_openapi_document(rig: Rig) -> None:
    document = rig.get("/openapi.json").json()
    assert set(document["paths"][f"{ENTRIES}/{{entry_id}}"]) == {"get", "put", "patch", "delete"}
    assert "/api/library/import" in document["paths"]
