"""Who is in the desk's run: agents at their browsers, and a follower of the local WeChat."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, Route, expect

from sandbox.wechat import LocalWeChat
from sandbox.wechat.outcome import Bubble
from tests.support.accounts.conftest import PASSWORD
from tests.support.browser.installation import AGENTS
from tests.support.browser.visit import DESKTOP

OPENID = "oCustomer-0123456789abcdefgh"
SOON_MS = 30_000
WATCHING = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`));"""


@dataclass
class Worker:
    """An agent at the workbench of their own gateway; `complaints` is what the browser's console says."""

    username: str
    page: Page
    url: str
    pictures: Path
    complaints: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    """Hosts that the page has spoken to."""

    @property
    def name(self) -> str:
        return AGENTS[self.username]

    @property
    def reply(self) -> Locator:
        return self.page.get_by_label("回复客户")

    @property
    def composer(self) -> Locator:
        return self.page.locator("#composer")

    def open(self) -> None:
        """Signs in and says that one is there."""
        self.page.goto(f"{self.url}/console/login")
        self.page.locator("#username").fill(self.username)
        self.page.locator("#password").fill(PASSWORD)
        self.page.locator("button.main").click()
        expect(self.page.locator("body")).to_have_attribute("data-live", "yes", timeout=SOON_MS)
        self.button("在线")
        online = self.page.locator('[data-status="online"]')
        expect(online).to_have_attribute("aria-pressed", "true", timeout=SOON_MS)

    def button(self, name: str, within: str = "body") -> None:
        self.page.locator(within).get_by_role("button", name=name, exact=True).first.click()

    def row(self) -> Locator:
        return self.page.locator(f'.sessions [data-session*="{OPENID}"]').first

    def reads(self, text: str) -> None:
        """Sees these words in the conversation, without reloading anything."""
        line = self.page.locator(".line .words", has_text=text).last
        expect(line).to_be_in_viewport(timeout=SOON_MS)

    def says(self, text: str) -> None:
        self.reply.fill(text)
        self.page.keyboard.press("Enter")
        self.reads(text)

    def is_told(self, text: str, *, warned: bool = False) -> None:
        expect(self.page.locator("#warned" if warned else "#said")).to_have_text(text, timeout=SOON_MS)

    def delivered(self) -> None:
        """The newest line of an agent's has reached the customer."""
        expect(self.page.locator(".fate").last).to_have_text("已送达", timeout=SOON_MS)

    def shows(self, number: int) -> Locator:
        """Sees so many pictures in the conversation, and the last one is really there."""
        shown = self.page.locator(".line .picture img")
        expect(shown).to_have_count(number, timeout=SOON_MS)
        expect(shown.last).to_have_js_property("complete", True, timeout=SOON_MS)
        assert shown.last.evaluate("(image) => image.naturalWidth") > 0
        expect(shown.last).to_be_in_viewport(timeout=SOON_MS)
        return shown.last

    def takes_a_screenshot(self, step: str) -> None:
        self.page.screenshot(path=self.pictures / f"{step}-{self.username}.png")


def at_work(browser: Browser, username: str, url: str, pictures: Path) -> Worker:
    """An agent in a browser context of their own, signed in."""
    page = browser.new_context(viewport=DESKTOP, locale="zh-CN").new_page()  # type: ignore[arg-type]
    worker = Worker(username, page, url, pictures)
    page.add_init_script(WATCHING)
    page.on("console", lambda message: worker.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: worker.complaints.append(str(error)))
    page.on("request", lambda request: worker.called.add(urlsplit(request.url).netloc))
    worker.open()
    return worker


def at_once(first: Worker, second: Worker) -> tuple[Worker, Worker]:
    """Both click 接管, and both requests are out before either is let through; the winner, then the loser."""
    held: list[Route] = []
    for each in (first, second):
        each.page.route("**/takeover", lambda route: held.append(route))
    for each in (first, second):
        each.button("接管")
    awaited(lambda: len(held) == 2, first.page)
    for route in held:
        route.continue_()
    awaited(lambda: any(each.composer.is_visible() for each in (first, second)), first.page)
    return (first, second) if first.composer.is_visible() else (second, first)


def awaited(true: Callable[[], bool], page: Page) -> None:
    """Waits for what no locator can see, while both browsers go on."""
    deadline = time.monotonic() + SOON_MS / 1000
    while not true():
        assert time.monotonic() < deadline, "it never came"
        page.wait_for_timeout(50)


@dataclass
class Follower:
    """The customer, who follows the account on the local WeChat."""

    wechat: LocalWeChat
    api: str

    def says(self, text: str) -> str:
        """Writes; returns what comes back at once."""
        return self.wechat.send_text(OPENID, text, patience=20).text

    def asks(self, text: str, page: Page) -> str:
        """The same, and waits for an answer that comes as a message of its own: on a busy machine it does."""
        before = len(self.inbox())
        self.says(text)
        awaited(lambda: len(self.inbox()) > before, page)
        return "\n".join(each.text for each in self.inbox()[before:])

    def shows(self, content: bytes) -> None:
        """Sends a picture, as WeChat delivers one: a number to fetch it by, and a public address."""
        number = self.wechat.add_media(content, "image/png")
        fields = {"PicUrl": f"{self.api}/_sandbox/media/{number}", "MediaId": number}
        assert self.wechat.send(OPENID, "image", fields, patience=20).notice is False

    def inbox(self) -> list[Bubble]:
        return self.wechat.inbox(OPENID)

    def hears(self, text: str, page: Page) -> Bubble:
        """Waits for a customer-service message with these words."""
        awaited(lambda: any(text in each.text and each.via == "push" for each in self.inbox()), page)
        return next(each for each in self.inbox() if text in each.text and each.via == "push")

    def sees(self, page: Page) -> bytes:
        """Waits for a picture as a customer-service message; returns what WeChat has of it."""
        awaited(lambda: any(each.msg_type == "image" for each in self.inbox()), page)
        shown = next(each for each in self.inbox() if each.msg_type == "image")
        assert shown.via == "push"
        return self.wechat.media(str(shown.fields["media_id"])).data
