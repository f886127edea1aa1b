"""The widget as a visitor meets it: a real browser, the whole gateway and a local Coze."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from handler.handoff import Person
from handler.message import Picture
from storage.events import publish
from storage.models import DialogueSession
from tests.paint import painted
from tests.rig import Rig

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 20_000
HOSTILE = '<img src=x onerror="document.title=1">'
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
PICTURES = os.environ.get("YINGDA_PICTURES")
"""A folder for screenshots, for a person to look at."""

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@dataclass
class Visit:
    """An open page with the widget, and what its console complained about."""

    page: Page
    rig: Rig
    complaints: list[str] = field(default_factory=list)

    def open(self) -> None:
        self.page.locator("button.open").click()
        expect(self.page.locator(".panel")).to_be_visible()

    def say(self, text: str) -> None:
        self.page.locator(".panel textarea").fill(text)
        self.page.keyboard.press("Enter")

    @property
    def answers(self) -> Locator:
        return self.page.locator(".line.theirs:not(.streaming)")

    def expect_answer(self, words: str) -> None:
        expect(self.answers.last).to_contain_text(words, timeout=PATIENCE_MS)
        expect(self.page.locator(".streaming")).to_have_count(0)

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "install chromium to run the browser tests"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, rig: Rig) -> Iterator[Callable[..., Visit]]:
    """Opens the demonstration page; keyword arguments are the browser's."""
    with ExitStack() as stack:

        def start(path: str = "/sandbox/widget", **options: object) -> Visit:
            page = browser.new_page(**options)  # type: ignore[arg-type]
            stack.callback(page.close)
            opened = Visit(page, rig)
            page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            page.goto(rig.url + path)
            return opened

        yield start


def test_a_visitor_is_welcomed_asks_and_is_remembered_after_a_reload(visit: Callable[..., Visit]) -> None:
    opened = visit(viewport={"width": 1280, "height": 900})
    opened.open()
    expect(opened.answers).to_contain_text("请问有什么可以帮您")
    chip = opened.page.locator(".chips button").first
    expect(chip).to_have_text("给我使用指南")
    opened.picture("desktop-welcome")
    chip.click()
    opened.expect_answer("新手使用指南")
    opened.say("我叫张三")
    opened.expect_answer("张三")
    opened.picture("desktop-answer")
    opened.page.reload()
    expect(opened.page.locator(".line.mine")).to_have_count(2)
    opened.say("我叫什么？")
    opened.expect_answer("您叫张三")
    assert opened.complaints == []


def test_a_reload_in_the_middle_of_an_answer_completes_it_without_gap_or_repeat(
    visit: Callable[..., Visit],
) -> None:
    opened = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    opened.open()
    opened.say("说来话长[[pace:0.12]]")
    streaming = opened.page.locator(".line.streaming .bubble")
    expect(streaming).to_contain_text("您问的是", timeout=PATIENCE_MS)
    opened.picture("phone-streaming")
    opened.page.reload()
    opened.expect_answer("说来话长")
    rows = opened.rig.log()
    assert len(rows) == 1
    assert opened.answers.last.locator(".bubble").inner_text() == rows[0]["answer"]
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.complaints == []


def test_text_is_never_taken_for_html_and_links_are_safe(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.open()
    title = opened.page.title()
    opened.say(f"{HOSTILE} **粗** https://example.com/a [坏](javascript:alert(1))")
    opened.expect_answer(HOSTILE)
    answer = opened.answers.last
    expect(answer.locator("strong")).to_have_text("粗")
    links = answer.locator("a")
    expect(links).to_have_count(1)
    assert links.get_attribute("href") == "https://example.com/a"
    assert "noopener" in (links.get_attribute("rel") or "")
    assert opened.page.locator(".panel .bubble img").count() == 0
    assert opened.page.title() == title
    assert opened.complaints == []


def test_an_agents_words_appear_without_being_asked_for(visit: Callable[..., Visit]) -> None:
    opened = visit(color_scheme="dark", viewport={"width": 390, "height": 844})
    opened.open()
    opened.say("我要找人")
    opened.expect_answer("我要找人")
    yingda = opened.rig.app.extensions["yingda"]

    def tell(kind: str, **payload: object) -> None:
        def step(session):  # type: ignore[no-untyped-def]
            dialogue = session.query(DialogueSession).one()
            publish(session, dialogue.id, kind, payload)

        yingda.db.transact(step)

    opened.page.wait_for_function(
        "() => JSON.parse(Object.entries(localStorage).find(([k]) => k.startsWith('yingda:'))[1]).lastEvent"
    )
    tell("status_change", status="manual_live")
    tell("manual_message", role="agent", content="我是小王，请讲", agent_id="7", agent_name="小王")
    expect(opened.page.locator(".line.agent")).to_contain_text("我是小王", timeout=PATIENCE_MS)
    expect(opened.page.locator(".line.agent .who")).to_have_text("小王")
    expect(opened.page.locator(".line.note")).to_have_text("人工客服已接入")
    opened.picture("phone-dark-agent")
    assert opened.complaints == []


def test_an_agents_picture_is_seen_and_one_that_is_gone_is_a_link(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.open()
    opened.say("转人工")
    opened.expect_answer("已转接人工客服，你当前排队序号：1")
    yingda, wang = opened.rig.app.extensions["yingda"], Person(7, "wang", "小王")
    with yingda.db.read() as session:
        number = session.query(DialogueSession).one().id
    yingda.desk.desk.take(number, wang)
    # an address without a host is one at the gateway, whatever page the widget is on
    yingda.desk.desk.show(
        number, wang, Picture(painted(200, 120, (20, 110, 60)), "image/png"), "/api/pictures"
    )
    image = opened.page.locator(".line.agent img")
    expect(image).to_have_js_property("naturalWidth", 200, timeout=PATIENCE_MS)
    opened.picture("agent-picture")
    assert opened.complaints == []
    yingda.desk.desk.show(number, wang, Picture(b"", "image/png"), "/api/pictures")
    link = opened.page.locator(".line.agent").last.locator("a")
    expect(link).to_have_text("[图片]", timeout=PATIENCE_MS)


def test_a_person_takes_the_conversation_and_the_bot_is_silent(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.open()
    opened.say("你好")
    opened.expect_answer("您好")
    opened.say("转人工")
    opened.expect_answer("已转接人工客服，你当前排队序号：1")
    yingda = opened.rig.app.extensions["yingda"]
    with yingda.db.read() as session:
        number = session.query(DialogueSession).one().id
    yingda.desk.desk.take(number, Person(7, "wang", "小王"))
    yingda.desk.desk.say(number, Person(7, "wang", "小王"), "我是小王，请讲")
    expect(opened.page.locator(".line.agent")).to_contain_text("我是小王", timeout=PATIENCE_MS)
    answers = opened.answers.count()
    opened.say("我的订单没到")
    expect(opened.page.locator(".line.mine").last).to_contain_text("我的订单没到")
    expect(opened.page.locator(".streaming")).to_have_count(0, timeout=PATIENCE_MS)
    assert opened.answers.count() == answers
    assert "MANUAL_MODE" not in opened.page.locator(".panel").inner_text()
    yingda.desk.desk.release(number, "wang", "完成")
    expect(opened.page.locator(".line.note").last).to_contain_text("请回复1到5", timeout=PATIENCE_MS)
    opened.say("5")
    opened.expect_answer("感谢您的评价")
    assert opened.complaints == []


def test_a_picture_goes_along_with_the_question(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.open()
    opened.page.locator("input[type=file]").set_input_files(
        {"name": "小票.png", "mimeType": "image/png", "buffer": PNG}
    )
    expect(opened.page.locator(".files button")).to_have_count(1, timeout=PATIENCE_MS)
    opened.say("这是什么？")
    opened.expect_answer("我收到了1个文件")
    assert opened.complaints == []


def test_a_failed_try_can_be_repeated_and_is_asked_once(visit: Callable[..., Visit]) -> None:
    opened = visit()
    opened.open()
    expect(opened.answers).to_have_count(1)
    refusal = '{"success": false, "error": "这次不行"}'
    opened.page.route("**/api/chat/stream", lambda route: route.fulfill(status=400, body=refusal), times=1)
    opened.say("你好")
    trouble = opened.page.locator(".trouble")
    expect(trouble).to_contain_text("这次不行")
    trouble.get_by_role("button").click()
    opened.expect_answer("应答助手")
    assert len(opened.rig.log()) == 1


def test_another_visitor_of_the_page_finds_nothing_of_the_last(visit: Callable[..., Visit]) -> None:
    opened = visit()
    tokens = [
        opened.rig.post("/api/conversation/new", json={"session_id": each}).json()["token"] for each in "ab"
    ]
    source = f"{opened.rig.url}/widget.js"

    def page_of(token: str) -> None:
        tag = f'<script src="{source}" data-token="{token}"></script>'
        body = f"<!doctype html><html><body>{tag}</body></html>"
        opened.page.route("**/shop", lambda route: route.fulfill(body=body, content_type="text/html"))
        opened.page.goto(f"{opened.rig.url}/shop")

    page_of(tokens[0])
    opened.open()
    opened.say("我叫张三")
    opened.expect_answer("张三")
    page_of(tokens[0])
    expect(opened.page.locator(".line.mine")).to_have_count(1)
    opened.page.unroute("**/shop")
    page_of(tokens[1])
    expect(opened.page.locator("button.open")).to_be_visible()
    assert opened.page.locator(".line.mine").count() == 0
    assert {each["user_id"] for each in opened.rig.log()} == {"a"}


def test_the_keyboard_reaches_everything_and_escape_closes(visit: Callable[..., Visit]) -> None:
    opened = visit("/sandbox/widget?lang=en")
    page = opened.page
    opener = page.locator("button.open")
    expect(opener).to_have_attribute("aria-label", "Open chat")
    opener.focus()
    page.keyboard.press("Enter")
    focused = "(w => w.activeElement.localName)([...document.body.children].at(-1).shadowRoot)"
    assert page.evaluate(focused) == "textarea"
    expect(opened.answers).to_have_count(1)
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body.lastElementChild")
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()
    expect(opener).to_be_focused()
    assert page.locator("[role=log][aria-live=polite]").count() == 1
    assert opened.complaints == []
