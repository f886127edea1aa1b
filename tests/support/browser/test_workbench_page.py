"""The workbench as a page: keyboard, phone, canned replies, supervisors, alerts, accessibility."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from storage.audit import By
from storage.canned_replies import CannedReplies
from tests.support.browser.visit import DESKTOP, PHONE, SOON_MS, Visit, customer, inbox
from tests.support.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_the_keyboard_alone_is_enough(world: World, visit: Callable[..., Visit]) -> None:
    customer(world, "转人工")
    wang = visit("wang")
    keys = wang.page.keyboard
    keys.press("j")
    expect(wang.page.locator('.sessions [aria-current="true"]')).to_be_focused()
    keys.press("a")
    expect(wang.page.get_by_label("回复客户")).to_be_focused()
    keys.type("a e t 1 是字，不是快捷键")
    keys.press("Shift+Enter")
    keys.type("第二行")
    keys.press("Enter")
    wang.says("第二行")
    world.run_jobs()
    assert inbox(world)[-1] == "a e t 1 是字，不是快捷键\n第二行"
    keys.press("Escape")
    expect(wang.page.locator("#reply")).not_to_be_focused()
    keys.press("3")
    expect(wang.page.locator('[data-tab="mine"]')).to_have_attribute("aria-current", "page")
    keys.press("?")
    expect(wang.page.locator("#help-dialog")).to_be_visible()
    wang.picture("workbench-shortcuts")
    keys.press("Escape")
    expect(wang.page.locator("#help-dialog")).to_be_hidden()
    keys.press("e")
    expect(wang.page.locator("#release-dialog")).to_be_visible()
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")
    expect(wang.page.locator("#said")).to_have_text("已结束服务，机器人继续接待。")
    assert wang.complaints == []


def test_on_a_phone_one_pane_at_a_time(world: World, visit: Callable[..., Visit]) -> None:
    customer(world, "你好", "转人工")
    wang = visit("wang", viewport=PHONE, has_touch=True, color_scheme="dark")
    wang.picture("phone-list-dark")
    assert wang.fits(375)
    expect(wang.page.locator(".pane.talk")).to_be_hidden()
    wang.row()
    expect(wang.page.locator(".pane.talk")).to_be_visible()
    expect(wang.page.locator(".pane.list")).to_be_hidden()
    wang.button("接管")
    expect(wang.page.locator("#composer")).to_be_visible()
    wang.picture("phone-talk-dark")
    assert wang.fits(375)
    wang.button("资料")
    expect(wang.page.locator(".pane.customer")).to_be_visible()
    wang.picture("phone-customer-dark")
    assert wang.fits(375)
    wang.page.get_by_role("button", name="返回对话").click()
    wang.page.get_by_role("button", name="返回列表").click()
    expect(wang.page.locator(".pane.list")).to_be_visible()
    wang.page.goto(f"{wang.url}/console?lang=en&tab=mine")
    expect(wang.page.locator('[data-tab="mine"]')).to_have_text("Mine 1")
    wang.picture("phone-list-english")
    assert wang.fits(375)
    wang.row()
    expect(wang.page.get_by_role("button", name="Release")).to_be_visible()
    wang.picture("phone-talk-english")
    assert wang.fits(375)
    wang.page.set_viewport_size(DESKTOP)
    wang.picture("workbench-english-dark")
    assert wang.complaints == []


def test_a_slash_offers_canned_replies_with_names_filled_in(
    world: World, visit: Callable[..., Visit]
) -> None:
    replies = CannedReplies(world.yingda.db)
    replies.add(By("chen"), "hello", "{name}好，我是{agent}。<b>{nobody}</b>")
    replies.add(By("chen"), "bye", "感谢您的咨询，再见！")
    customer(world, "转人工")
    wang = visit("wang")
    wang.row()
    wang.button("接管")
    reply = wang.page.get_by_label("回复客户")
    expect(reply).to_be_focused()
    keys = wang.page.keyboard
    keys.type("/")
    options = wang.page.get_by_role("option")
    expect(options).to_have_count(2)
    wang.picture("workbench-canned")
    keys.press("ArrowDown")
    expect(options.last).to_have_attribute("aria-selected", "true")
    keys.press("Escape")
    expect(options).to_have_count(0)
    keys.type("he")
    expect(options).to_have_count(1)
    keys.press("Enter")
    expect(reply).to_have_value("您好，我是小王。<b>{nobody}</b>")
    keys.press("Enter")
    wang.says("<b>{nobody}</b>")
    assert wang.complaints == []


def test_a_supervisor_whispers_reassigns_and_is_seen(world: World, visit: Callable[..., Visit]) -> None:
    customer(world, "转人工")
    wang, li, chen = visit("wang"), visit("li"), visit("chen")
    wang.row()
    wang.button("接管")
    expect(wang.page.locator("#composer")).to_be_visible()
    chen.page.keyboard.press("2")
    chen.row()
    expect(wang.page.locator("#watchers")).to_have_text("陈主管 正在查看", timeout=SOON_MS)
    chen.page.locator("#note").fill("先查物流再回复")
    chen.button("悄悄提醒客服")
    expect(wang.page.locator(".notes")).to_contain_text("先查物流再回复", timeout=SOON_MS)
    chen.button("转接")
    chen.page.locator("#transfer-to").select_option("li")
    chen.page.locator("#transfer-reason").fill("小王下班")
    chen.page.locator("#transfer-now").check()
    chen.picture("workbench-reassign")
    chen.page.locator("#transfer-dialog").get_by_role("button", name="转接").click()
    expect(chen.page.locator("#said")).to_have_text("已改派给 小李。")
    expect(wang.page.locator("#composer")).to_be_hidden(timeout=SOON_MS)
    expect(li.page.locator('[data-tab="mine"] b')).to_have_text("1", timeout=SOON_MS)
    assert wang.complaints == li.complaints == chen.complaints == []


def test_sound_and_notifications_are_the_agents_choice(world: World, visit: Callable[..., Visit]) -> None:
    wang = visit("wang", permissions=["notifications"])
    wang.page.evaluate(
        "() => { window.shown = []; window.Notification = class extends EventTarget {"
        " static permission = 'granted'; static async requestPermission() { return 'granted'; }"
        " constructor(title) { super(); window.shown.push(title); } };"
        " Object.defineProperty(document, 'hidden', { get: () => true }); }"
    )
    customer(world, "转人工")
    expect(wang.page).to_have_title("(1) 工作台 · 应答 · 客服台", timeout=SOON_MS)
    assert wang.page.evaluate("window.shown") == []
    wang.page.locator(".menu summary").click()
    wang.page.get_by_label("桌面通知").check()
    wang.page.get_by_label("声音").check()
    wang.picture("workbench-menu")
    world.call("POST", "/api/chat", json={"message": "转人工", "user_id": "ann"})
    expect(wang.page).to_have_title("(2) 工作台 · 应答 · 客服台", timeout=SOON_MS)
    assert wang.page.evaluate("window.shown") == ["有客户在等待人工"]
    assert wang.complaints == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, installed exactly as locked and outside the tree."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(Path(__file__).parents[1] / "npm" / name, folder)
    install = ["npm", "ci", "--ignore-scripts"]
    subprocess.run(install, cwd=folder, check=True, timeout=100, capture_output=True)
    return (folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")


@pytest.mark.npm
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(world: World, visit: Callable[..., Visit], axe: str, scheme: str) -> None:
    CannedReplies(world.yingda.db).add(By("chen"), "hello", "您好")
    customer(world, "你好", "转人工")
    chen = visit("chen", color_scheme=scheme)

    def check(where: str) -> None:
        chen.page.evaluate(axe)
        found = chen.page.evaluate("async () => (await axe.run()).violations")
        bad = [
            (where, each["id"], [(node["html"][:120], node["failureSummary"]) for node in each["nodes"]])
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]
        assert not bad, bad

    check("the list")
    chen.row()
    expect(chen.page.locator('[data-do="take"]')).to_be_visible()
    check("who waits")
    chen.button("接管")
    expect(chen.page.locator("#composer")).to_be_visible()
    chen.page.get_by_label("回复客户").fill("您好")
    chen.button("发送")
    chen.says("您好")
    chen.page.locator("#note").fill("备注")
    chen.button("添加备注")
    expect(chen.page.locator(".notes")).to_contain_text("备注")
    chen.page.get_by_label("回复客户").press_sequentially("/")
    expect(chen.page.get_by_role("option")).to_have_count(1)
    check("a session of one's own")
    chen.page.keyboard.press("Escape")
    chen.page.keyboard.press("Escape")
    chen.page.locator(".menu summary").click()
    check("the menu")
    chen.page.keyboard.press("Escape")
    for dialog in ("release", "transfer", "help"):
        chen.page.locator(f'[data-do="{dialog}"]').first.evaluate("(button) => button.click()")
        expect(chen.page.locator(f"#{dialog}-dialog")).to_be_visible()
        check(dialog)
        chen.page.keyboard.press("Escape")
    chen.page.set_viewport_size(PHONE)
    check("the list on a phone")
    chen.page.locator('[data-tab="mine"]').click()
    chen.row()
    expect(chen.page.locator(".pane.talk")).to_be_visible()
    check("a conversation on a phone")
    chen.button("资料")
    check("a customer on a phone")
    for path in ("/console/replies", "/console/account", "/console/password", "/console/audit"):
        chen.page.goto(chen.url + path)
        check(path)
