"""The page of the audit: who sees which lines, filters, pages, languages; nothing from outside is code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from storage.audit import By
from support.audit_words import DESK_ACTIONS, SESSION_ACTIONS
from support.pages import CONTENT_POLICY
from support.words import WORDS
from tests.support.conftest import World
from tests.support.workbench_world import Browser, open_with_sign_in

ROOT = Path(__file__).parents[2]
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def world(open_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    made = open_with_sign_in(open_world, monkeypatch)
    made.yingda.people.agents.change(By("cli"), "li", {"role": "admin"})
    return made


def lines(page: str) -> list[tuple[str, ...]]:
    """The cells of the table, as words."""
    rows = re.findall(r"<tr data-action.*?</tr>", page, re.DOTALL)
    return [
        tuple(
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<td>(.*?)</td>", row, re.S)
        )
        for row in rows
    ]


def actions(browser: Browser, **query: object) -> list[str]:
    return re.findall(r'<tr data-action="([^"]+)"', browser.page("/console/audit", **query))


def test_an_admin_sees_everything_and_a_supervisor_what_was_done_to_sessions(world: World) -> None:
    world.ask("转人工")
    wang, chen, li = (Browser(world, each) for each in ("wang", "chen", "li"))
    assert wang.post("/api/sessions/v1/takeover").status_code == 200
    assert wang.open("GET", "/console/audit").status_code == 403
    assert actions(chen) == ["takeover", "escalate"]
    assert actions(chen, action="sign_in") == []
    seen = actions(li)
    assert seen[0] == "takeover"
    assert {"sign_in", "account.changed", "escalate"} <= set(seen)
    (taken,) = [each for each in lines(li.page("/console/audit")) if each[2].startswith("接管")]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", taken[0])
    assert taken[1:4] == ("wang", "接管 等待人工 → 人工服务中", "v1")
    assert "waited_seconds" in taken[4]
    assert ("客户", "请求人工 机器人服务 → 等待人工") in [
        each[1:3] for each in lines(chen.page("/console/audit"))
    ]
    for browser, offered in ((wang, False), (chen, True), (li, True)):
        assert ('href="/console/audit"' in browser.page("/console")) is offered
        assert ('href="/console/audit"' in browser.page("/console/account")) is offered


def test_filters_narrow_and_stay_in_the_form(world: World) -> None:
    for user in ("v1", "v2"):
        world.ask("转人工", user)
    li = Browser(world, "li")
    assert li.post("/api/sessions/v1/takeover").status_code == 200
    assert actions(li, session="v1") == ["takeover", "escalate"]
    assert actions(li, session="nobody") == []
    assert actions(li, actor="LI", action="takeover") == ["takeover"]
    assert set(actions(li, target="li", action="account.changed")) == {"account.changed"}
    assert actions(li, target="li", action="escalate") == []
    assert actions(li, **{"from": "2020-01-01", "to": "2020-01-02"}) == []
    assert "escalate" in actions(li, **{"from": "2020-01-01", "to": "2099-12-31"})
    assert "escalate" in actions(li, to="9999-12-31")
    page = li.page("/console/audit", actor="wang", action="release", session="v1", **{"from": "2026-01-02"})
    assert 'name="actor" value="wang"' in page
    assert '<option value="release" selected>' in page
    assert 'type="date" value="2026-01-02"' in page
    assert "没有符合条件的记录。" in page


def test_pages_lead_on_with_their_filters(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.audit_page.LINES", 2)
    for number in range(5):
        world.ask("转人工", f"v{number}")
    li = Browser(world, "li")
    seen: list[tuple[str, ...]] = []
    path = "/console/audit?action=escalate"
    for _ in range(9):
        page = li.page(path)
        seen += lines(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            break
        path = following[1].replace("&amp;", "&")
        assert "action=escalate" in path
    assert [each[3] for each in seen] == [f"v{number}" for number in reversed(range(5))]
    assert "回到最新" in page


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"}, {"to": "2026-13-01"}, {"before": "1;2"}, {"actor": "x" * 65},
        {"action": "x" * 49}, {"session": "x" * 1601}, {"target": "x" * 129},
    ],
)  # fmt: skip
def test_a_filter_that_is_none_is_said(world: World, query: dict[str, str]) -> None:
    answer = Browser(world, "li").open("GET", "/console/audit", params=query)
    assert answer.status_code == 400
    assert "提交的内容有误" in answer.text


def test_what_comes_from_outside_is_shown_as_words(world: World) -> None:
    world.ask("转人工", HOSTILE)
    chen, li = Browser(world, "chen"), Browser(world, "li")
    answer = li.open("GET", "/console/audit", params={"actor": HOSTILE, "session": HOSTILE})
    assert HOSTILE not in answer.text
    assert "&lt;img src=x" in answer.text
    assert answer.headers["Content-Security-Policy"] == CONTENT_POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    page = chen.page("/console/audit")
    assert HOSTILE not in page
    assert "onerror" in unquote_plus(page)
    english = chen.page("/console/audit", lang="en")
    assert "Asked for a person" in english
    assert "Who did what to which session" in english


def test_every_action_has_its_words(world: World) -> None:
    """What is offered is what the code records; whatever it may be called, both languages have a word."""
    written: set[str] = set()
    for folder in ("storage", "handler", "support"):
        for path in (ROOT / folder).rglob("*.py"):
            written |= recorded(ast.parse(path.read_text("utf-8")))
    assert {"takeover", "sign_in", "left", "retry"} <= written
    assert written == {*SESSION_ACTIONS, *DESK_ACTIONS}
    for words in WORDS.values():
        assert {f"ac_{each}" for each in written} <= set(words)


def recorded(tree: ast.AST) -> set[str]:
    """The names that calls of `record`, `Change` and the like give to what is done."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given: list[Any] = []
        if name == "record" and len(node.args) > 2:
            given = [node.args[2]]
        elif name == "Change" and len(node.args) > 1:
            given = [node.args[1]]
        elif name in {"HandoffStep", "set_password"}:
            given = [each.value for each in node.keywords if each.arg == "action"]
        for each in given:
            branches = [each.body, each.orelse] if isinstance(each, ast.IfExp) else [each]
            found |= {
                one.value for one in branches if isinstance(one, ast.Constant) and isinstance(one.value, str)
            }
    return found


def test_the_daily_chore_keeps_as_long_as_the_setting_says(
    open_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_world(audit_days=30)
    world.ask("转人工")
    audit = world.yingda.people.audit
    asked: list[int] = []
    monkeypatch.setattr(audit, "purge", lambda days: asked.append(days) or 0)
    for chore in world.yingda.runner.chores:
        if getattr(chore, "chore", None) == world.yingda.people.purge_audit:
            chore()  # type: ignore[operator]
            chore()
    assert asked == [30]
