"""Agents serve customers on the local WeChat: take, answer, hand on, give back, and nobody reloads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.support.browser.visit import SOON_MS, Visit, customer, inbox
from tests.support.conftest import OPENID, World
from texts import Texts

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_an_agent_serves_a_customer_on_wechat_and_gives_them_back(
    world: World, visit: Callable[..., Visit]
) -> None:
    wang = visit("wang")
    expect(wang.page.get_by_text("没有客户在等待。")).to_be_visible()
    wang.picture("workbench-empty")
    customer(world, "你好", "我的订单什么时候发货？", "转人工")
    wang.row()
    wang.says("我的订单什么时候发货？")
    expect(wang.page).to_have_title("(1) 工作台 · 应答 · 客服台")
    wang.picture("workbench-waiting")
    wang.button("接管")
    reply = wang.page.get_by_label("回复客户")
    expect(reply).to_be_focused()
    reply.fill("您好，我是小王。订单今天下午发出。")
    expect(wang.page.locator("#count")).to_have_text("51 字节")
    wang.page.keyboard.press("Enter")
    expect(reply).to_have_value("")
    wang.says("订单今天下午发出")
    expect(wang.page.locator(".fate").last).to_contain_text("发送中")
    world.run_jobs()
    assert inbox(world)[-1] == "您好，我是小王。订单今天下午发出。"
    expect(wang.page.locator(".fate").last).to_have_text("已送达", timeout=SOON_MS)
    expect(wang.page.locator(".quota")).to_contain_text("微信剩余可发")
    customer(world, "好的，<b>谢谢</b>！")
    wang.says("好的，<b>谢谢</b>！")
    wang.page.get_by_label("添加标签").fill("发货")
    wang.page.keyboard.press("Enter")
    expect(wang.page.locator(".chips")).to_contain_text("发货")
    wang.page.locator("#note").fill("已催仓库")
    wang.button("添加备注")
    expect(wang.page.locator(".notes")).to_contain_text("已催仓库")
    wang.picture("workbench-live")
    wang.button("结束服务")
    wang.picture("workbench-release")
    wang.page.locator("#release-dialog").get_by_role("button", name="结束服务").click()
    expect(wang.page.locator("#said")).to_have_text("已结束服务，机器人继续接待。")
    expect(wang.page.locator("#composer")).to_be_hidden()
    world.run_jobs()
    assert inbox(world)[-1] == Texts().rate_us
    answered = world.wechat.send_text(OPENID, "你好", patience=10).text
    assert "您好" in answered
    wang.says(answered.splitlines()[0][:10])
    assert wang.complaints == []


def test_of_two_who_take_a_customer_one_is_told_by_whom(world: World, visit: Callable[..., Visit]) -> None:
    customer(world, "转人工")
    wang, li = visit("wang"), visit("li")
    for each in (wang, li):
        each.row()
        expect(each.page.locator('[data-do="take"]')).to_be_visible()
    # the page of the slower one has not learnt of it yet
    held: list[Route] = []
    holding = True

    def hold(route: Route) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    li.page.route("**/api/workbench?*", hold)
    wang.button("接管")
    expect(wang.page.locator("#composer")).to_be_visible()
    li.button("接管")
    expect(li.page.locator("#warned")).to_have_text("会话已被 小王 接管。")
    li.picture("workbench-taken")
    holding = False
    for route in held:
        route.continue_()
    expect(li.page.locator(".strip").first).to_have_text("由 小王 服务中，您只能查看。", timeout=SOON_MS)
    expect(li.page.locator("#composer")).to_be_hidden()
    assert [each for each in li.complaints if "409" not in each] == wang.complaints == []


def test_a_colleague_accepts_what_is_handed_on(world: World, visit: Callable[..., Visit]) -> None:
    customer(world, "转人工")
    wang, li = visit("wang"), visit("li")
    wang.row()
    wang.button("接管")
    expect(wang.page.locator("#composer")).to_be_visible()
    wang.button("转接")
    wang.page.locator("#transfer-to").select_option("li")
    wang.page.locator("#transfer-reason").fill("需要售后")
    wang.page.locator("#transfer-note").fill("客户很急")
    wang.picture("workbench-transfer")
    wang.page.locator("#transfer-dialog").get_by_role("button", name="转接").click()
    expect(wang.page.locator("#said")).to_have_text("已请 小李 接手。")
    expect(li.page.locator(".request")).to_contain_text("需要售后 — 客户很急", timeout=SOON_MS)
    li.picture("workbench-request")
    li.button("接受")
    expect(li.page.locator("#composer")).to_be_visible(timeout=SOON_MS)
    expect(wang.page.locator("#composer")).to_be_hidden(timeout=SOON_MS)
    assert wang.complaints == li.complaints == []


def test_a_line_that_failed_is_sent_again(world: World, visit: Callable[..., Visit]) -> None:
    body = {
        "user": "zhang", "msg_type": "text", "content": "转人工", "msg_id": "1",
        "raw_msg": {"response_url": world.callback_url},
    }  # fmt: skip
    world.call("POST", "/chat/sync", json=body)
    world.callbacks.statuses.append(400)
    wang = visit("wang")
    wang.page.locator(".sessions a").click()
    wang.button("接管")
    wang.page.get_by_label("回复客户").fill("第一次没送到")
    wang.button("发送")
    wang.says("第一次没送到")
    world.run_jobs()
    expect(wang.page.locator(".fate")).to_contain_text("发送失败", timeout=SOON_MS)
    wang.picture("workbench-failed")
    wang.button("重发")
    expect(wang.page.locator("#said")).to_have_text("已重新发送。")
    world.run_jobs()
    expect(wang.page.locator(".fate")).to_contain_text("已送达", timeout=SOON_MS)
    assert [each.body["msg_content"] for each in world.callbacks.listed("zhang")] == ["第一次没送到"]


def test_a_line_whose_answer_was_lost_is_sent_again_and_said_once(
    world: World, visit: Callable[..., Visit]
) -> None:
    customer(world, "转人工")
    wang = visit("wang")
    wang.row()
    wang.button("接管")
    reply = wang.page.get_by_label("回复客户")
    expect(reply).to_be_focused()
    lost: list[Route] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route)
        route.fetch()
        route.abort()

    wang.page.route("**/api/manual/messages", lose)
    reply.fill("您好，我是小王。")
    wang.page.keyboard.press("Enter")
    expect(wang.page.locator("#warned")).to_contain_text("网络")
    expect(reply).to_have_value("您好，我是小王。")
    wang.page.keyboard.press("Enter")
    expect(reply).to_have_value("")
    # the same words once more, on purpose
    reply.fill("您好，我是小王。")
    wang.page.keyboard.press("Enter")
    expect(reply).to_have_value("")
    world.run_jobs()
    assert inbox(world)[-3:].count("您好，我是小王。") == 2
    assert [each for each in wang.complaints if "ERR_FAILED" not in each] == []
