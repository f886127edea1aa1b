"""Real browsers at the workbench of a whole gateway."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.accounts.conftest import PASSWORD
from tests.support.browser.visit import DESKTOP, Visit
from tests.support.conftest import World
from tests.support.workbench_world import open_with_sign_in

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "install chromium to run the browser tests"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def world(open_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    return open_with_sign_in(open_world, monkeypatch)


@pytest.fixture
def visit(browser: Browser, world: World) -> Iterator[Callable[..., Visit]]:
    """Opens the workbench, signed in, in a browser of its own; keyword arguments are the browser's."""
    with ExitStack() as stack:

        def start(username: str, **options: object) -> Visit:
            context = browser.new_context(**{"viewport": DESKTOP, **options})  # type: ignore[arg-type]
            stack.callback(context.close)
            page = context.new_page()
            opened = Visit(page, world.url)
            page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            page.goto(f"{world.url}/console/login")
            page.locator("#username").fill(username)
            page.locator("#password").fill(PASSWORD)
            page.locator("button.main").click()
            expect(page).to_have_url(f"{world.url}/console")
            expect(page.locator("body")).to_have_attribute("data-live", "yes")
            return opened

        yield start
