"""Quick messages of one customer as one question."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

from handler.library import Draft
from tests.rig import Rig


def say(rig: Rig, *lines: str, pause: float = 0.15) -> list[dict[str, Any]]:
    """Sends the lines one after the other without waiting for answers; what came back, in order."""
    with ThreadPoolExecutor(len(lines)) as pool:
        futures = []
        for line in lines:
            body = {"message": line, "user_id": "a"}
            futures.append(pool.submit(lambda body=body: rig.post("/api/chat", json=body).json()))
            sleep(pause)
        return [each.result() for each in futures]


def questions(rig: Rig) -> list[str]:
    return [r.json["additional_messages"][-1]["content"] for r in rig.coze.requests if r.path == "/v3/chat"]


def test_messages_that_follow_each_other_are_one_question(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(merge_seconds=1.0)
    first, second, third = say(rig, "我叫张三", "我今年25岁", "我叫什么？")
    assert questions(rig) == ["我叫张三\n我今年25岁\n我叫什么？"]
    assert [first["message"], second["message"]] == ["", ""]
    assert third["message"]
    rows = rig.log()
    assert [row["source"] for row in rows] == ["coze", "merged", "merged"]
    assert all(row["status"] == "delivered" for row in rows)


def test_a_message_that_comes_later_is_a_question_of_its_own(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(merge_seconds=0.2)
    answers = say(rig, "你好", "再见", pause=1.0)
    assert questions(rig) == ["你好", "再见"]
    assert all(answer["message"] for answer in answers)


def test_without_a_time_nothing_waits_and_nothing_is_merged(rig: Rig) -> None:
    say(rig, "你好", "再见", pause=0.02)
    assert sorted(questions(rig)) == ["你好", "再见"]


def test_the_library_is_asked_for_the_whole_question(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(merge_seconds=0.6)
    rig.app.extensions["yingda"].shelf.library.add(Draft(("退款",), "七天"), "a")
    rig.app.extensions["yingda"].shelf.library.add(Draft(("我买的鞋 退款",), "鞋子十天", "keywords"), "a")
    first, second = say(rig, "我买的鞋", "退款")
    assert (first["message"], second["message"]) == ("", "鞋子十天")
    assert questions(rig) == []
