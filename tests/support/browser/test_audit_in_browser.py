"""The page of the audit in a real browser: by keyboard alone, on a phone, in English."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from handler.handoff import Escalation
from tests.support.browser.visit import PHONE, Visit, customer
from tests.support.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_supervisor_searches_by_keyboard_alone(world: World, visit: Callable[..., Visit]) -> None:
    customer(world, "转人工")
    handoffs = world.yingda.desk.desk.handoffs
    for user in range(60):
        number = world.yingda.dialogues.ensure("web", "default", f"v{user}", f"v{user}")
        handoffs.escalate(number, Escalation(), actor="customer", limit=99, line="")
    chen = visit("chen")
    keys = chen.page.keyboard
    chen.page.locator(".menu summary").focus()
    keys.press("Enter")
    chen.page.get_by_role("link", name="操作审计").focus()
    keys.press("Enter")
    expect(chen.page).to_have_url(f"{chen.url}/console/audit")
    rows = chen.page.locator("tbody tr")
    expect(rows).to_have_count(50)
    chen.picture("audit")
    chen.page.get_by_label("操作人").focus()
    keys.type("customer")
    keys.press("Tab")
    keys.press("ArrowDown")
    keys.press("Tab")
    keys.type("v7")
    keys.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("请求人工")
    expect(chen.page.get_by_label("操作", exact=True)).to_have_value("escalate")
    chen.page.get_by_role("link", name="v7").focus()
    keys.press("Enter")
    expect(chen.page.locator("body.desk")).to_be_visible()
    chen.page.goto(f"{chen.url}/console/audit")
    chen.page.get_by_role("link", name="更早的记录").focus()
    assert chen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    expect(chen.page.get_by_role("link", name="回到最新")).to_be_visible()
    assert 0 < rows.count() <= 50
    assert chen.complaints == []


def test_on_a_phone_the_table_alone_is_scrolled(world: World, visit: Callable[..., Visit]) -> None:
    customer(world, "转人工")
    chen = visit("chen", viewport=PHONE, has_touch=True, color_scheme="dark")
    chen.page.goto(f"{chen.url}/console/audit?lang=en")
    expect(chen.page.locator("tbody tr").first).to_contain_text("Asked for a person")
    chen.picture("phone-audit-english")
    assert chen.fits(375)
    assert chen.complaints == []
