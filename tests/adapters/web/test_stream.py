"""Answers that are cut off and gone on with: by id, in any process, without gap or repeat."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from adapters.web.stream import Told
from handler.message import Reply
from tests.rig import Rig

LONG = "说来话长[[pace:0.05]]"


def read(response: requests.Response, most: int = 10_000) -> tuple[str, str, str]:
    """The text of up to `most` frames, the last frame's id, and its type."""
    assert response.status_code == 200, response.text
    text, last, kind = "", "", ""
    for record in response.iter_lines(delimiter=b"\n\n", chunk_size=1):
        lines = dict(line.split(": ", 1) for line in record.decode().splitlines() if ": " in line)
        if "data" not in lines:
            continue
        event = json.loads(lines["data"])
        last, kind = lines["id"], event["type"]
        text += event["content"]
        if (most := most - 1) == 0:
            break
    response.close()
    return text, last, kind


def ask(rig: Rig, message_id: str, last: str = "", **fields: Any) -> requests.Response:
    body = {"message": LONG, "user_id": "a", "message_id": message_id, **fields}
    return rig.post(
        "/api/chat/stream", json=body, headers={"Last-Event-ID": last} if last else {}, stream=True
    )


def resume(rig: Rig, last: str, **query: Any) -> requests.Response:
    return rig.get(
        "/api/chat/stream", params={"user_id": "a", **query}, headers={"Last-Event-ID": last}, stream=True
    )


@pytest.mark.parametrize("frames", [1, 3])
def test_a_reader_that_was_cut_gets_the_rest_while_it_is_made(rig: Rig, frames: int) -> None:
    message_id = uuid.uuid4().hex
    first, last, _ = read(ask(rig, message_id), frames)
    assert first
    rest, _, kind = read(resume(rig, last))
    again, _, _ = read(ask(rig, message_id, last))
    row = rig.log()[0]
    assert first + rest == row["answer"]
    assert again == rest
    assert kind == "done"
    assert len(rig.log()) == 1
    assert len(rig.coze.chats) == 1


def test_an_answer_that_is_over_is_cut_to_what_is_missing(rig: Rig) -> None:
    whole, last, _ = read(ask(rig, "one"))
    for offset in (0, 1, len(whole) // 2, len(whole), len(whole) + 50):
        rest, end, kind = read(resume(rig, f"one.{offset}"))
        assert (rest, kind) == (whole[offset:], "done")
        assert end == f"one.{max(offset, len(whole))}"
    assert last == f"one.{len(whole)}"
    assert read(rig.get("/api/chat/stream?message_id=one&offset=3&user_id=a"))[0] == whole[3:]


def test_the_same_id_again_asks_nothing_whichever_way_it_is_sent(rig: Rig) -> None:
    question = {"message": "你好", "user_id": "a"}
    first = rig.post("/api/chat", json={**question, "message_id": "m-1"}).json()
    second = rig.post("/api/chat", json=question, headers={"Idempotency-Key": "m-1"}).json()
    assert first["message"] == second["message"]
    assert second["message_id"] == "m-1"
    assert len(rig.log()) == 1
    other = rig.post("/api/chat", json={**question, "user_id": "b", "message_id": "m-1"}).json()
    assert other["success"]
    assert len(rig.log()) == 2


def test_another_visitor_cannot_read_along(rig: Rig) -> None:
    _, last, _ = read(ask(rig, "secret"))
    assert resume(rig, last, user_id="b").status_code == 404
    assert resume(rig, "unknown.0").status_code == 404
    assert len(rig.log()) == 1


@pytest.mark.parametrize("last", ["x", "one.", "one.-1", "one.99999999999", ".5", "a b.1", "一.1"])
def test_a_place_that_is_none_is_refused(rig: Rig, last: str) -> None:
    headers = {"Last-Event-ID": last.encode()}
    assert rig.get("/api/chat/stream?user_id=a", headers=headers).status_code == 400
    body = {"message": "你好", "message_id": "one"}
    assert rig.post("/api/chat/stream", json=body, headers={"Last-Event-ID": "two.1"}).status_code == 400


def test_resuming_names_its_visitor(rig: Rig) -> None:
    assert rig.get("/api/chat/stream?message_id=one").status_code == 400
    assert rig.get("/api/chat/stream?user_id=a").status_code == 400


def test_a_failure_is_told_once_from_any_process(rig: Rig) -> None:
    rig.coze.faults.queue("chat_failed")
    first = read(ask(rig, "bad"))
    again = read(resume(rig, "bad.0"))
    assert first[0] == again[0]
    assert (first[2], again[2]) == ("error", "error")


@pytest.mark.parametrize("pieces", [["甲乙丙", "丁"], ["甲", "乙", "丙", "丁"], [], ["甲乙丙丁"]])
@pytest.mark.parametrize("start", range(6))
def test_from_any_place_the_rest_is_the_rest(pieces: list[str], start: int) -> None:
    told = Told("m", start)
    frames = [told.piece(each) for each in pieces]
    frames += told.ending(Reply("甲乙丙丁", "coze"), "".join(pieces))
    events = [json.loads(each.decode().split("data: ")[1]) for each in frames if each]
    assert "".join(each["content"] for each in events) == "甲乙丙丁"[start:]
    assert [each["type"] for each in events].count("done") == 1


def test_what_came_after_the_last_look_is_told_with_the_ending() -> None:
    told = Told("m", 0)
    told.piece("甲")
    assert "乙丙丁" in b"".join(told.ending(Reply("甲乙丙丁", "coze"), "甲乙丙")).decode()


def test_a_production_visitor_resumes_with_the_token_in_the_address(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(
        app_env="production",
        agent_secret="s" * 32,
        api_keys="s:a-long-enough-secret-key:chat",
        visitor_secret="v" * 40,
    )
    begun = rig.post("/api/conversation/new").json()
    headers = {"Authorization": f"Bearer {begun['token']}"}
    body = {"message": "你好", "message_id": "m"}
    whole = read(rig.post("/api/chat/stream", json=body, headers=headers, stream=True))[0]
    path = "/api/chat/stream?message_id=m"
    assert rig.get(path).status_code == 401
    assert read(rig.get(f"{path}&token={begun['token']}", stream=True))[0] == whole
