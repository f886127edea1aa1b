"""The workbench's page and its parts: who sees what, and that nothing from outside becomes code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from support.pages import CONTENT_POLICY
from support.workbench import REGIONS
from tests.support.conftest import OPENID, World
from tests.support.workbench_world import ON_WECHAT, Browser, open_with_sign_in

HOSTILE = '<img src=x onerror="alert(1)">'
ONE = f"/api/sessions/{quote(ON_WECHAT, safe='')}"


@pytest.fixture
def world(open_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    return open_with_sign_in(open_world, monkeypatch)


def waiting(world: World) -> None:
    world.wechat.send_text(OPENID, "你好", patience=10)
    world.wechat.send_text(OPENID, "转人工", patience=10)


def regions(browser: Browser, **query: object) -> dict[str, Any]:
    return browser.panes(**query)["regions"]


def test_who_waits_stands_in_the_list_with_the_whole_talk_with_the_bot(world: World) -> None:
    browser = Browser(world, "wang")
    assert "没有客户在等待" in browser.page()
    waiting(world)
    page = browser.page(session=ON_WECHAT)
    assert f'data-session="{ON_WECHAT}"' in page
    assert "第 1 位" in page
    talk = regions(browser, session=ON_WECHAT)["lines"]
    assert talk.index("你好") < talk.index("转人工")
    assert 'class="line assistant' in talk
    assert "接管后即可回复" in page
    state = browser.panes(session=ON_WECHAT)["state"]
    assert (state["can_take"], state["mine"], state["waiting"]) == (True, False, 1)


def test_a_taken_session_offers_what_its_agent_and_a_supervisor_may(world: World) -> None:
    waiting(world)
    wang, li, chen, gu = (Browser(world, each) for each in ("wang", "li", "chen", "gu"))
    assert wang.post(f"{ONE}/takeover").status_code == 200
    refused = li.post(f"{ONE}/takeover")
    assert (refused.status_code, refused.json()["detail"]) == (409, "ALREADY_TAKEN: 小王")
    offered = {
        name: set(re.findall(r'data-do="(\w+)"', regions(browser, session=ON_WECHAT)["head"]))
        for name, browser in (("wang", wang), ("li", li), ("chen", chen), ("gu", gu))
    }
    assert {"release", "transfer"} <= offered["wang"]
    assert {"release", "transfer"} <= offered["chen"]
    assert not {"release", "transfer", "take"} & (offered["li"] | offered["gu"])
    assert "由 小王 服务中" in regions(li, session=ON_WECHAT)["head"]
    assert "您的角色只能查看" in regions(gu, session=ON_WECHAT)["head"]
    assert wang.panes(session=ON_WECHAT)["state"]["mine"] is True
    counts = regions(wang)["tabs"]
    assert re.findall(r"<b[^>]*>(\d+)</b>", counts) == ["0", "1", "1", "1"]
    assert re.findall(r"<b[^>]*>(\d+)</b>", regions(li)["tabs"]) == ["0", "1", "0", "1"]


def test_the_quota_and_the_fate_of_each_line_are_shown(world: World) -> None:
    waiting(world)
    wang = Browser(world, "wang")
    wang.post(f"{ONE}/takeover")
    assert "微信剩余可发 5 条" in regions(wang, session=ON_WECHAT)["quota"]
    for number in range(6):
        wang.post("/api/manual/messages", session_name=ON_WECHAT, role="agent", content=f"第{number}句")
        if not number:
            seen = wang.panes(session=ON_WECHAT)
            assert "发送中" in str(seen["regions"]["lines"])
            assert seen["state"]["sending"] is True
        world.run_jobs()
    shown = regions(wang, session=ON_WECHAT)
    assert shown["lines"].count("已送达") == 5
    assert "将随客户下一条消息送出" in shown["lines"]
    assert "微信额度已用完" in shown["quota"]
    assert wang.panes(session=ON_WECHAT)["state"]["sending"] is False


def test_what_customers_and_agents_write_never_becomes_code(world: World) -> None:
    world.wechat.send_text(OPENID, HOSTILE, patience=10)
    world.wechat.send_text(OPENID, "转人工", patience=10)
    wang = Browser(world, "wang")
    wang.post(f"{ONE}/takeover")
    wang.post(f"{ONE}/notes", content=HOSTILE)
    wang.open("PUT", f"{ONE}/tags", json={"tags": ['"><script>1']})
    li = Browser(world, "li")
    wang.post(f"{ONE}/transfer", to_agent_id="li", reason=HOSTILE, note=HOSTILE)
    wang.post("/api/manual/messages", session_name=ON_WECHAT, role="agent", content=HOSTILE)
    for browser in (wang, li):
        answer = browser.open("GET", "/console", params={"session": ON_WECHAT, "q": '"><b>', "tab": "all"})
        assert answer.headers["Content-Security-Policy"] == CONTENT_POLICY
        parts = regions(browser, session=ON_WECHAT, q='"><b>', tab="all")
        for html in (answer.text, *parts.values()):
            assert HOSTILE not in html
            assert "<script>1" not in html
            assert '"><b>' not in html
            assert not re.search(r"<style|\sstyle=|<[^>]*\son\w+=|javascript:", html)
        assert set(parts) == set(REGIONS)
    assert "&lt;img src=x" in regions(li)["requests"]
    assert "&lt;img src=x" in regions(wang, session=ON_WECHAT)["notes"]


def test_odd_addresses_are_no_failures(world: World) -> None:
    wang = Browser(world, "wang")
    for query in ({"tab": "nonsense"}, {"session": "x" * 2000}, {"lines": "many"}):
        assert wang.open("GET", "/console", params=query).status_code == 200
        assert wang.open("GET", "/api/workbench", params=query).status_code == 400
    assert "找不到这个会话" in wang.page(session="wechat:default:nobody:nobody")
    assert "找不到这个会话" in wang.page(session="%00:%ff:🙂:")


def test_the_tabs_and_the_search_show_what_they_promise(world: World) -> None:
    waiting(world)
    for user in ("ann", "bob"):
        for message in (f"我是{user}", "转人工"):
            world.call("POST", "/api/chat", json={"message": message, "user_id": user})
    wang = Browser(world, "wang")
    wang.post("/api/sessions/ann/takeover")

    def listed(**query: object) -> list[str]:
        return re.findall(r'data-session="([^"]+)"', regions(wang, **query)["list"])

    assert listed() == [ON_WECHAT, "bob"]
    assert listed(tab="mine") == listed(tab="live") == ["ann"]
    assert set(listed(tab="all")) == {ON_WECHAT, "ann", "bob"}
    assert listed(tab="all", q="我是bob") == ["bob"]
    assert listed(tab="waiting", q="我是ann") == []


def test_earlier_lines_come_when_they_are_asked_for(world: World) -> None:
    for number in range(8):
        world.call("POST", "/api/chat", json={"message": f"问题{number}", "user_id": "ann"})
    wang = Browser(world, "wang")
    few = wang.panes(session="ann", lines=4)
    assert few["state"]["more"] is True
    assert "问题0" not in str(few["regions"]["lines"])
    assert "显示更早的消息" in str(few["regions"]["lines"])
    everything = wang.panes(session="ann")
    assert everything["state"]["more"] is False
    assert "问题0" in str(everything["regions"]["lines"])
