"""The whole desk in one run: a bot that fails, two agents on two workers, pictures, and a bot that knows.

Screenshots of every step are in the test's folder, or in YINGDA_SCREENSHOTS, for a person to look at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.paint import painted
from tests.support.browser.installation import FAILURES, Installation, installed
from tests.support.browser.story import Follower, Worker, at_once, at_work
from texts import Texts

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

texts = Texts()
RECEIPT, VOUCHER = painted(420, 260, (200, 40, 40)), painted(300, 300, (20, 110, 60))
PROMISE = "退款三天内到账，另外送您一张20元优惠券。"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, f"sqlite:///{tmp_path}/desk.db") as running:
        yield running


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("YINGDA_SCREENSHOTS", tmp_path / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_customer_is_served_by_bot_and_people_from_the_first_word_to_the_last(
    browser: Browser, installation: Installation, pictures: Path
) -> None:
    wang, li = (
        at_work(browser, username, gateway.url, pictures)
        for username, gateway in installation.gateways.items()
    )
    on_two_workers(installation, wang, li)
    customer = Follower(installation.wechat, installation.api)
    the_bot_fails_until_a_person_is_called(installation, customer, wang, li)
    first, second = both_want_the_customer(wang, li)
    they_talk_and_show_pictures(customer, first, second)
    the_second_takes_over(first, second)
    the_promise_is_made_and_the_session_ends(customer, first, second)
    the_bot_knows(customer, second)
    for each in (first, second):
        # the browser itself reports the refusal of the slower take-over
        said = [line for line in each.complaints if "409 (CONFLICT)" not in line]
        assert said == [], each.name
        assert len(each.complaints) == (1 if each is second else 0)
        assert each.called == {each.url.removeprefix("http://")}
    assert installation.wechat.notices == 0


def on_two_workers(installation: Installation, wang: Worker, li: Worker) -> None:
    one, other = (gateway.workers for gateway in installation.gateways.values())
    assert len(one) == len(other) == 1
    assert one != other
    assert wang.url != li.url
    expect(wang.page.get_by_text("没有客户在等待。")).to_be_visible()
    wang.takes_a_screenshot("01-nobody-waits")


def the_bot_fails_until_a_person_is_called(
    installation: Installation, customer: Follower, wang: Worker, li: Worker
) -> None:
    assert "您好" in customer.asks("你好", wang.page)
    for _ in range(FAILURES):
        installation.coze.faults.queue("chat_failed")
    told = [customer.asks("我的退款什么时候到？", wang.page) for _ in range(FAILURES)]
    assert texts.transferred.format(place=1) not in told[0]
    assert texts.transferred.format(place=1) in told[-1]
    for each in (wang, li):
        expect(each.row()).to_be_visible(timeout=30_000)
        expect(each.page).to_have_title("(1) 工作台 · 应答 · 客服台")
        each.row().click()
        each.reads("我的退款什么时候到？")
        expect(each.page.locator("#about")).to_contain_text("连续 2 次没有答上")
        expect(each.page.locator("#numbers dd").first).to_have_text("1", timeout=30_000)
        each.takes_a_screenshot("02-a-customer-waits")


def both_want_the_customer(wang: Worker, li: Worker) -> tuple[Worker, Worker]:
    first, second = at_once(wang, li)
    first.is_told("已接管，可以开始回复。")
    second.is_told(f"会话已被 {first.name} 接管。", warned=True)
    second.takes_a_screenshot("03-the-other-was-quicker")
    expect(second.page.locator(".strip").first).to_have_text(f"由 {first.name} 服务中，您只能查看。")
    expect(second.composer).to_be_hidden()
    first.takes_a_screenshot("03-taken")
    return first, second


def they_talk_and_show_pictures(customer: Follower, first: Worker, second: Worker) -> None:
    first.says(f"您好，我是{first.name}，请把付款凭证发给我看看。")
    customer.hears("请把付款凭证发给我看看", first.page)
    first.delivered()
    assert customer.says("好的，马上发") == ""
    customer.shows(RECEIPT)
    shown = first.shows(1)
    kept = first.page.request.get(f"{first.url}{shown.get_attribute('src')}")
    assert kept.body() == RECEIPT
    assert kept.headers["content-type"] == "image/png"
    assert kept.headers["x-content-type-options"] == "nosniff"
    assert kept.headers["cache-control"].startswith("private")
    first.takes_a_screenshot("04-the-customers-picture")
    second.shows(1)
    second.takes_a_screenshot("04-read-along")
    voucher = {"name": "voucher.png", "mimeType": "image/png", "buffer": VOUCHER}
    first.page.locator("#picture-file").set_input_files(voucher)  # type: ignore[arg-type]
    expect(first.page.locator("#picture-dialog")).to_be_visible()
    first.takes_a_screenshot("05-about-to-send-a-picture")
    first.button("发送", "#picture-dialog")
    assert customer.sees(first.page) == VOUCHER
    first.shows(2)
    first.delivered()
    first.takes_a_screenshot("05-the-agents-picture")


def the_second_takes_over(first: Worker, second: Worker) -> None:
    first.button("转接")
    first.page.locator("#transfer-to").select_option(second.username)
    first.page.locator("#transfer-reason").fill("退款归售后处理")
    first.page.locator("#transfer-note").fill("凭证已核对，请给个到账时间")
    first.takes_a_screenshot("06-transfer")
    first.button("转接", "#transfer-dialog")
    first.is_told(f"已请 {second.name} 接手。")
    request = second.page.locator(".request")
    expect(request).to_contain_text(f"{first.name} 想把一位客户转给您", timeout=30_000)
    expect(request).to_contain_text("凭证已核对，请给个到账时间")
    second.takes_a_screenshot("06-asked")
    second.button("接受")
    second.is_told("已接手会话。")
    expect(second.composer).to_be_visible(timeout=30_000)
    expect(first.composer).to_be_hidden(timeout=30_000)
    first.takes_a_screenshot("06-handed-on")


def the_promise_is_made_and_the_session_ends(customer: Follower, first: Worker, second: Worker) -> None:
    second.says(PROMISE)
    customer.hears(PROMISE, second.page)
    second.delivered()
    assert customer.says("太好了，谢谢！") == ""
    second.reads("太好了，谢谢！")
    first.reads("太好了，谢谢！")
    second.takes_a_screenshot("07-the-promise")
    second.button("结束服务")
    second.page.locator("#release-words").fill("已核实退款")
    second.takes_a_screenshot("08-release")
    second.button("结束服务", "#release-dialog")
    second.is_told("已结束服务，机器人继续接待。")
    expect(second.composer).to_be_hidden()
    customer.hears(texts.rate_us, second.page)
    assert customer.asks("5", second.page) == texts.rated


def the_bot_knows(customer: Follower, second: Worker) -> None:
    assert PROMISE in customer.asks("刚才客服答应了我什么？", second.page)
    second.page.locator('[data-tab="all"]').click()
    second.reads(PROMISE)
    second.reads("人工客服对您说过")
    record = second.page.locator(".steps")
    expect(record).to_contain_text(f"结束服务 · {second.name} · 已解决 · 已核实退款", timeout=30_000)
    expect(record).to_contain_text("5 / 5")
    second.takes_a_screenshot("09-the-bot-knows")
