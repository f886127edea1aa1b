"""The page as a person meets it: a real browser, the whole gateway, a local Coze and a local WeChat."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.desk import LocalDesk, create_desk
from sandbox.serve import Server
from sandbox.wechat import Bubble, LocalWeChat
from sandbox.wechat import create_app as create_wechat

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 20_000
COLUMNS = ("wechat", "yishiting", "web")
HOSTILE = '<img src=x onerror="document.title=1">'

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@dataclass
class Visit:
    """An open page and what its console complained about."""

    page: Page
    wechat: LocalWeChat
    desk: LocalDesk
    complaints: list[str] = field(default_factory=list)

    def say(self, column: str, text: str) -> None:
        self.page.fill(f"#{column}-text", text)
        self.page.press(f"#{column}-text", "Enter")

    def expect_answer(self, column: str, words: str) -> None:
        """The last thing the shown person received holds these words, and nothing is awaited any more."""
        log = self.page.locator(f"#{column} .log:visible")
        expect(log.locator(".waiting")).to_have_count(0, timeout=PATIENCE_MS)
        expect(log.locator(".theirs").last).to_contain_text(words, timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "install chromium to run the browser tests"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, make_gateway: Callable[..., Flask]) -> Iterator[Callable[..., Visit]]:
    """Starts everything on free ports and opens the page; keyword arguments are the browser's."""
    with ExitStack() as stack:
        wechat = LocalWeChat("http://127.0.0.1:1/api/wechat")
        desk, platforms = LocalDesk(), create_wechat(wechat)
        platforms.register_blueprint(create_desk(desk))
        ports = [
            int(stack.enter_context(Server(app)).url.rsplit(":", 1)[1])
            for app in (create_coze(LocalCoze()), platforms)
        ]
        gateway = stack.enter_context(
            Server(make_gateway(sandbox_coze_port=ports[0], sandbox_wechat_port=ports[1]))
        )
        wechat.callback_url = f"{gateway.url}/api/wechat"

        def start(**options: object) -> Visit:
            page = browser.new_page(**options)  # type: ignore[arg-type]
            stack.callback(page.close)
            opened = Visit(page, wechat, desk)
            page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            page.goto(f"{gateway.url}/sandbox")
            return opened

        yield start


def test_one_exchange_in_every_column(visit: Callable[..., Visit]) -> None:
    opened = visit(viewport={"width": 1280, "height": 900})
    for column in COLUMNS:
        opened.say(column, "我叫张三")
        opened.expect_answer(column, "张三")
        wire = opened.page.locator(f"#{column} .exchanges details[open]").first
        expect(wire).to_contain_text("我叫张三")
        expect(wire).to_contain_text("200")
    expect(opened.page.locator("#wechat .exchanges")).to_contain_text("<MsgSignature>")
    expect(opened.page.locator("#yishiting .exchanges")).to_contain_text("event:delta")
    expect(opened.page.locator("#web .exchanges")).to_contain_text('"type":"done"')
    assert opened.wechat.notices == 0
    assert opened.complaints == []


def test_a_late_answer_of_the_desk_is_shown_to_its_person(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.say("yishiting", "我叫张三")
    opened.expect_answer("yishiting", "张三")
    opened.desk.take("t1", {"user": "sandbox.a", "msg_content": "这是迟到的答案"})
    opened.expect_answer("yishiting", "这是迟到的答案")
    expect(opened.page.locator("#yishiting .log:visible .theirs").last).to_contain_text("callback")
    assert opened.complaints == []


def test_two_people_of_a_column_have_their_own_memories(visit: Callable[..., Visit]) -> None:
    opened = visit()
    for column in COLUMNS:
        opened.say(column, "我叫张三")
        opened.expect_answer(column, "张三")
        opened.page.locator(f"#{column} .people label").nth(1).click()
        opened.say(column, "我叫什么？")
        opened.expect_answer(column, "没有告诉过我")
        opened.page.locator(f"#{column} .people label").nth(0).click()
        opened.say(column, "我叫什么？")
        opened.expect_answer(column, "您叫张三")
    assert opened.complaints == []


def test_text_is_never_taken_for_html(visit: Callable[..., Visit]) -> None:
    opened = visit()
    title = opened.page.title()
    for column in COLUMNS:
        opened.say(column, f"我想问{HOSTILE}")
        expect(opened.page.locator(f"#{column} .log:visible .mine")).to_have_text(f"我想问{HOSTILE}")
        opened.expect_answer(column, "")
    assert opened.page.locator(".columns img").count() == 0
    assert opened.page.title() == title
    assert opened.complaints == []


def test_a_new_follower_is_welcomed(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.page.click("#wechat .chips button[data-event=subscribe]")
    opened.expect_answer("wechat", "欢迎关注")
    assert opened.complaints == []


def test_a_push_that_comes_later_is_shown(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.say("wechat", "我叫张三")
    opened.expect_answer("wechat", "张三")
    late = Bubble("text", "这是稍后的回答", {}, "push", time.time(), ai=True)
    opened.wechat.receive("oSandboxFollowerA", late, {})
    opened.expect_answer("wechat", "这是稍后的回答")
    opened.expect_answer("wechat", "内容由第三方AI生成")


def test_a_menu_link_says_its_words(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.say("wechat", "你好")
    opened.expect_answer("wechat", "")
    link = '点这里：<a href="weixin://bizmsgmenu?msgmenucontent=我叫什么？&msgmenuid=1">问名字</a>'
    opened.wechat.receive("oSandboxFollowerA", Bubble("text", link, {}, "push", time.time()), {})
    opened.page.locator("#wechat .tap", has_text="问名字").click()
    opened.expect_answer("wechat", "没有告诉过我")
    expect(opened.page.locator("#wechat .exchanges")).to_contain_text("<bizmsgmenuid>")
    assert opened.complaints == []


def test_the_message_log_opens(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.say("web", "我叫张三")
    opened.expect_answer("web", "张三")
    opened.page.click("#open-log")
    expect(opened.page.locator("#log td", has_text="我叫张三").first).to_be_visible()
    assert opened.complaints == []


def test_a_phone_shows_one_column_at_a_time(visit: Callable[..., Visit]) -> None:
    opened = visit(viewport={"width": 390, "height": 844})
    expect(opened.page.locator(".column:visible")).to_have_count(1)
    opened.page.click(".tabs button[data-tab=web]")
    expect(opened.page.locator("#web")).to_be_visible()
    opened.say("web", "我叫张三")
    opened.expect_answer("web", "张三")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.complaints == []


def test_the_page_can_be_used_by_keyboard_and_ear(visit: Callable[..., Visit]) -> None:
    page = visit().page
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, a")].filter((each) =>
            !(each.textContent.trim() || each.labels?.length || each.getAttribute("aria-label"))).length"""
    )
    assert unnamed == 0
    assert page.locator("[role=log][aria-live=polite]").count() == 6
    page.focus("#wechat-text")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "关注"
