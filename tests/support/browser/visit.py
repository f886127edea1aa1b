"""An agent's open workbench, and the customer whom they serve."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.conftest import OPENID, World

PICTURES = os.environ.get("YINGDA_PICTURES")
"""A folder for screenshots, for a person to look at."""
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 740}
SOON_MS = 20_000
"""Longer than the page's slow poll: what no event tells it finds then."""

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=SOON_MS)


@dataclass
class Visit:
    """An agent's open workbench, and what its console complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def row(self, status: str = "") -> None:
        self.page.locator(f'[data-session*="{OPENID}"]{status}').first.click()

    def button(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def says(self, text: str) -> None:
        expect(self.page.locator(".line .words", has_text=text).last).to_be_visible(timeout=SOON_MS)

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")

    def fits(self, width: int) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth") <= width)


def customer(world: World, *words: str) -> None:
    for each in words:
        world.wechat.send_text(OPENID, each, patience=10)


def inbox(world: World) -> list[str]:
    return [bubble.text for bubble in world.wechat.inbox(OPENID)]
