"""Sign-in as an agent meets it: a real browser at the pages of the desk, also on a phone and by keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from storage.agents import Status
from tests.support.accounts.conftest import BY, HASH, PASSWORD, Desk

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PICTURES = os.environ.get("YINGDA_PICTURES")
"""A folder for screenshots, for a person to look at."""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=20_000)


@dataclass
class Visit:
    """An open page, and what its console complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def sign_in(self, username: str, password: str = PASSWORD) -> None:
        self.go("/console/login")
        self.page.get_by_label("用户名").fill(username)
        self.page.get_by_label("密码").fill(password)
        self.page.get_by_role("button", name="登录").click()

    def enter(self, username: str) -> None:
        """Signs in, and goes to the page of the own account."""
        self.sign_in(username)
        expect(self.page).to_have_url(f"{self.url}/console")
        self.go("/console/account")

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)

    def fits(self, width: int) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth") <= width)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "install chromium to run the browser tests"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, served: str) -> Iterator[Callable[..., Visit]]:
    """Opens a browser of its own; keyword arguments are the browser's."""
    with ExitStack() as stack:

        def start(**options: object) -> Visit:
            context = browser.new_context(**options)  # type: ignore[arg-type]
            stack.callback(context.close)
            page = context.new_page()
            opened = Visit(page, served)
            page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            return opened

        yield start


def status_of(desk: Desk, username: str) -> Status:
    account = desk.people.agents.get(username)
    assert account is not None
    return account.status


def test_an_agent_signs_in_says_it_is_there_and_signs_out(desk: Desk, visit: Callable[..., Visit]) -> None:
    opened = visit(viewport=DESKTOP)
    opened.go("/console/login")
    opened.picture("desktop-login")
    opened.sign_in("wang", "not the password")
    expect(opened.page.get_by_role("alert")).to_have_text("用户名或密码不正确。")
    opened.picture("desktop-login-wrong")
    assert opened.complaints == [
        "error: Failed to load resource: the server responded with a status of 401 (UNAUTHORIZED)"
    ]
    opened.complaints.clear()
    opened.enter("wang")
    expect(opened.page.locator("h1")).to_contain_text("小王")
    expect(opened.page.locator("#status")).to_have_text("离线")
    opened.page.get_by_role("button", name="在线").click()
    expect(opened.page.locator("#status")).to_have_text("在线")
    opened.picture("desktop-home")
    assert status_of(desk, "wang") == "online"
    opened.page.get_by_role("button", name="退出登录").click()
    expect(opened.page.get_by_role("status")).to_have_text("已退出登录。")
    assert status_of(desk, "wang") == "offline"
    opened.go("/console")
    expect(opened.page).to_have_url(opened.url + "/console/login")
    assert opened.complaints == []


def test_the_open_page_follows_what_happens_elsewhere(desk: Desk, visit: Callable[..., Visit]) -> None:
    opened = visit(viewport=DESKTOP)
    opened.enter("wang")
    expect(opened.page.locator("#status")).to_have_text("离线")
    account = desk.people.agents.get("wang")
    assert account is not None
    desk.people.agents.set_status(BY, account.agent, "busy")
    expect(opened.page.locator("#status")).to_have_text("忙碌", timeout=10_000)
    expect(opened.page.get_by_role("button", name="忙碌")).to_have_attribute("aria-pressed", "true")
    desk.people.agents.set_password(BY, "wang", HASH, action="password.reset")
    expect(opened.page).to_have_url(opened.url + "/console/login?done=ended", timeout=10_000)


def test_on_a_phone_and_in_english_nothing_is_cut_off(desk: Desk, visit: Callable[..., Visit]) -> None:
    desk.people.agents.change(BY, "li", {"name": "一个特别特别特别特别特别特别特别长的名字"})
    opened = visit(viewport=PHONE, has_touch=True, color_scheme="dark")
    opened.enter("boss")
    expect(opened.page.locator("h1")).to_contain_text("老板")
    opened.picture("phone-home-dark")
    assert opened.fits(360)
    opened.page.get_by_role("link", name="English").click()
    expect(opened.page.locator("h1")).to_contain_text("Signed in as")
    opened.page.get_by_role("link", name="Accounts").click()
    opened.page.locator("summary").first.click()
    opened.picture("phone-accounts-english")
    assert opened.fits(360)
    opened.page.locator("#new-username").fill("zhao")
    opened.page.locator("#new-password").fill("a new good phrase")
    opened.page.get_by_role("button", name="Create").click()
    expect(opened.page.get_by_role("status")).to_have_text("The account is made.")
    opened.go("/console/password")
    opened.picture("phone-password")
    assert opened.fits(360)
    assert opened.complaints == []


def test_the_keyboard_is_enough(desk: Desk, visit: Callable[..., Visit]) -> None:
    opened = visit(viewport=DESKTOP)
    opened.go("/console/login")
    keys = opened.page.keyboard
    # where the page puts it by itself
    expect(opened.page.locator("input[autofocus]")).to_be_focused()
    keys.type("boss")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(opened.page).to_have_url(f"{opened.url}/console")
    opened.go("/console/account")
    expect(opened.page.locator("h1")).to_contain_text("老板")
    seen: list[str] = []
    for _ in range(14):
        keys.press("Tab")
        seen.append(str(opened.page.evaluate("document.activeElement.textContent.trim()")))
        # what has the focus shows it
        if seen[-1] and opened.page.evaluate("document.activeElement !== document.body"):
            assert opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for wanted in ("跳到正文", "退出登录", "English", "在线", "忙碌", "离线", "修改密码", "账号管理"):
        assert wanted in seen, seen
    opened.go("/console/accounts")
    opened.picture("desktop-accounts")
    assert opened.complaints == []
