"""Canned replies: who keeps them, what is refused, and that changes are in the audit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.conftest import World
from tests.support.workbench_world import Browser, open_with_sign_in

PLACE = "/api/canned-replies"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def world(open_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    return open_with_sign_in(open_world, monkeypatch)


def test_supervisors_keep_them_and_agents_use_them(world: World) -> None:
    chen, wang = Browser(world, "chen"), Browser(world, "wang")
    made = chen.post(PLACE, key="Hi", text=" 您好 {name}，我是{agent} ")
    assert (made.status_code, made.json()["reply"]["key"]) == (201, "hi")
    number = made.json()["reply"]["id"]
    assert wang.open("GET", PLACE).json()["replies"] == [
        {"id": number, "key": "hi", "text": "您好 {name}，我是{agent}"}
    ]
    assert wang.post(PLACE, key="x", text="y").status_code == 403
    assert Browser(world, "gu").open("GET", PLACE).status_code == 403
    changed = chen.open("PUT", f"{PLACE}/{number}", json={"key": "hello", "text": "您好"})
    assert (changed.status_code, changed.json()["reply"]["key"]) == (200, "hello")
    assert chen.open("DELETE", f"{PLACE}/{number}").status_code == 200
    assert chen.open("DELETE", f"{PLACE}/{number}").status_code == 404
    assert wang.open("GET", PLACE).json()["replies"] == []
    audit = world.yingda.people.audit.before(None, 200, actor="chen")
    actions = [entry.action for entry in audit if entry.action.startswith("canned.")]
    assert actions == ["canned.removed", "canned.changed", "canned.added"]


@pytest.mark.parametrize(
    "body",
    [{"key": "a b", "text": "x"}, {"key": "a/b", "text": "x"}, {"key": "", "text": "x"}, {"key": "a"},
     {"key": "a", "text": " "}, {"key": "a", "text": "x" * 2001}, {"key": "a\x00", "text": "x"},
     {"key": 1, "text": "x"}],
)  # fmt: skip
def test_what_is_none_is_refused(world: World, body: dict[str, object]) -> None:
    chen = Browser(world, "chen")
    assert chen.post(PLACE, **body).status_code == 400
    assert chen.open("GET", PLACE).json()["replies"] == []


def test_a_shortcut_is_one_replys_alone(world: World) -> None:
    chen = Browser(world, "chen")
    first = chen.post(PLACE, key="hi", text="一").json()["reply"]["id"]
    assert chen.post(PLACE, key="HI", text="二").status_code == 409
    second = chen.post(PLACE, key="bye", text="二").json()["reply"]["id"]
    assert chen.open("PUT", f"{PLACE}/{second}", json={"key": "hi", "text": "二"}).status_code == 409
    assert chen.open("PUT", f"{PLACE}/{first}", json={"key": "hi", "text": "三"}).status_code == 200
    for number in (10**6, 2**63 - 1, 2**64, 10**30):
        for method in ("PUT", "DELETE"):
            answer = chen.open(method, f"{PLACE}/{number}", json={"key": "x", "text": "y"})
            assert answer.status_code == 404, number


def test_the_page_does_it_with_forms_and_escapes(world: World) -> None:
    chen = Browser(world, "chen")
    added = chen.open("POST", "/console/replies", data={"key": "hi", "text": HOSTILE})
    assert "已保存" in added.text
    assert HOSTILE not in added.text
    assert "&lt;img" in added.text
    again = chen.open("POST", "/console/replies", data={"key": "hi", "text": "第二个"})
    assert again.status_code == 409
    assert "这个快捷词已被使用" in again.text
    assert "第二个" in again.text
    number = chen.open("GET", PLACE).json()["replies"][0]["id"]
    chen.open("POST", f"/console/replies/{number}", data={"key": "hey", "text": "您好"})
    assert chen.open("GET", PLACE).json()["replies"] == [{"id": number, "key": "hey", "text": "您好"}]
    assert "/console/replies/" not in Browser(world, "wang").page("/console/replies")
    chen.open("POST", f"/console/replies/{number}/delete", data={})
    assert chen.open("GET", PLACE).json()["replies"] == []
