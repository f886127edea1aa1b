"""A customer of a verified account, the local WeChat with its API, the whole gateway and the local Coze."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.wechat import WeChatAdapter
from adapters.wechat.client import Patience
from adapters.wechat.strategy import Hold, Timing
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from sandbox.wechat.outcome import Bubble
from tests.rig import Rig
from texts import Texts

OPENID = "oCustomer-0123456789abcdefgh"
SECRET = "an-app-secret-of-these-tests"
AES_KEY = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A"
SLOW = "[[delay:5]]"
"""Coze thinks longer than WeChat listens here."""
texts = Texts()


@dataclass
class World:
    rig: Rig
    wechat: LocalWeChat
    adapter: WeChatAdapter

    def ask(self, text: str, **knobs: Any) -> Any:
        return self.wechat.send_text(OPENID, text, **knobs)

    def bubbles(self, count: int, seconds: float = 60) -> list[Bubble]:
        """What the customer has received once that is `count` bubbles, and a moment later."""
        deadline = time.monotonic() + seconds
        while len(self.wechat.inbox(OPENID)) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        return self.wechat.inbox(OPENID)

    def row(self, *statuses: str, number: int = 0) -> dict[str, Any]:
        """The logged message, newest first, once it has one of these statuses."""
        deadline = time.monotonic() + 60
        while (row := self.rig.log()[number])["status"] not in statuses:
            assert time.monotonic() < deadline, row
            time.sleep(0.05)
        return row

    def undelivered(self) -> str:
        """Why the newest answer was given up."""
        self.row("undelivered")
        return str(self._newest("delivery_error", "exchanges")[0])

    def job(self) -> tuple[str, int]:
        """Status and tries of the newest job."""
        status, tries = self._newest("status, tries", "jobs")
        return status, tries

    def _newest(self, columns: str, table: str) -> Any:
        with self.rig.app.extensions["yingda"].db.engine.connect() as connection:
            return connection.exec_driver_sql(f"SELECT {columns} FROM {table} ORDER BY id DESC").first()


@pytest.fixture
def world(open_rig: Callable[..., Rig]) -> Iterator[World]:
    wechat = LocalWeChat("", appsecret=SECRET, aes_key=AES_KEY, verified=True, patience=4.0)
    with Server(create_app(wechat)) as api:
        rig = open_rig(
            wechat_token=wechat.token,
            wechat_appid=wechat.appid,
            wechat_appsecret=SECRET,
            wechat_aes_key=AES_KEY,
            wechat_original_id=wechat.original_id,
            wechat_account_kind="verified",
            wechat_api_base=api.url,
        )
        yingda = rig.app.extensions["yingda"]
        adapter = next(each for each in yingda.adapters if isinstance(each, WeChatAdapter))
        # WeChat's five seconds, scaled down to four
        adapter.hold = Hold(Timing(answer_within=2.5, hold_until=4.4), places=100)
        wechat.callback_url = f"{rig.url}/api/wechat"
        yingda.start()
        yield World(rig, wechat, adapter)
        yingda.close()


def test_a_slow_answer_is_one_pushed_bubble_and_no_notice(world: World) -> None:
    outcome = world.ask(f"给我使用指南 {SLOW}")
    assert (len(outcome.tries), outcome.tries[0].response, outcome.notice) == (1, b"success", False)
    (bubble,) = world.bubbles(1)
    assert (bubble.via, bubble.ai) == ("push", True)
    row = world.row("delivered")
    assert (row["delivery"], row["answer"]) == ("push", bubble.text)
    assert [each.command for each in world.wechat.typing] == ["Typing"]
    assert world.wechat.notices == 0


def test_a_quick_answer_is_a_passive_reply(world: World) -> None:
    outcome = world.ask("给我使用指南")
    assert [each.via for each in outcome.bubbles] == ["passive"]
    assert world.row("delivered")["delivery"] == "passive"
    assert len(world.bubbles(1)) == 1
    assert (world.wechat.pushes, world.wechat.typing) == ([], [])


def test_late_duplicates_of_a_promised_message_bring_no_second_bubble(world: World) -> None:
    outcome = world.ask(f"你好 {SLOW}", duplicate=2)
    assert {each.response for each in outcome.tries} == {b"success"}
    assert [each.via for each in world.bubbles(1)] == ["push"]
    assert len(world.rig.log()) == 1


def test_three_deliveries_at_once_are_one_bubble(world: World) -> None:
    outcome = world.ask(f"你好 {SLOW}", together=3)
    assert {each.response for each in outcome.tries} == {b"success"}
    assert [each.via for each in world.bubbles(1)] == ["push"]


@pytest.mark.slow
def test_two_slow_questions_are_answered_in_their_order(world: World) -> None:
    world.ask(f"请原样重复：一 {SLOW}")
    world.ask(f"请原样重复：二 {SLOW}")
    first, second = world.bubbles(2)
    assert "一" in first.text
    assert "二" in second.text


def test_a_failing_coze_leaves_nobody_waiting(world: World) -> None:
    world.ask(f"你好 {SLOW} [[fault:empty_answer]]")
    (bubble,) = world.bubbles(1)
    assert bubble.via == "push"
    assert bubble.text
    assert world.row("delivered")["delivery"] == "push"


@pytest.mark.slow
def test_a_message_whose_fate_is_unknown_is_never_sent_again(world: World) -> None:
    api = world.adapter.apis["default"]
    api.prepare()
    api.patience = Patience(connect=1.0, read=1.0, whole=2.0)
    world.wechat.faults.send_delay = 4.0
    world.ask(f"你好 {SLOW}")
    assert world.undelivered() == "in_doubt"
    assert world.job() == ("in_doubt", 1)
    world.wechat.faults.send_delay = 0.0
    time.sleep(1.5)
    assert len(world.bubbles(1)) == 1, "it had arrived, and was not sent twice"


def test_a_used_up_quota_leaves_the_answer_to_be_fetched(world: World) -> None:
    world.wechat.faults.send_errcodes = [45047]
    world.ask(f"请原样重复：答案 {SLOW}")
    assert world.undelivered() == "wechat_45047"
    assert world.job() == ("failed", 1)
    assert world.wechat.inbox(OPENID) == []
    (fetched,) = world.ask("继续").bubbles
    assert (fetched.via, "答案" in fetched.text) == ("passive", True)
    row = world.row("delivered", number=1)
    assert row["delivery"] == "fetch"
    # it is the customer's now: a second 继续 is an ordinary message again
    again = world.ask("继续")
    assert again.text != fetched.text


@pytest.mark.slow
def test_a_busy_wechat_gets_the_answer_a_little_later(world: World) -> None:
    world.wechat.faults.send_errcodes = [-1, 45011]
    world.ask(f"你好 {SLOW}")
    assert [each.via for each in world.bubbles(1)] == ["push"]
    assert world.row("delivered")["delivery"] == "push"
    assert world.job() == ("done", 3)


def test_a_wrong_white_list_is_an_alarm_and_not_a_loop(world: World) -> None:
    world.wechat.ip_whitelist = {"192.0.2.1"}
    world.ask(f"你好 {SLOW}")
    assert world.undelivered() == "wechat_40164: this server is not on WeChat's IP white list"
    assert world.job() == ("failed", 1)
    assert len(world.ask("继续").bubbles) == 1


def test_a_long_answer_comes_in_order(world: World) -> None:
    world.ask(f"你好 {SLOW} [[fault:long chars=9000]]")
    got = world.bubbles(3)
    assert len(got) == 3
    answer = world.row("delivered")["answer"]
    while got[-1].text.partition("……（")[1]:
        got += world.ask("继续").bubbles
    told = "".join(each.text.partition("……（")[0].partition(f"\n\n{texts.ai_line}")[0] for each in got)
    assert "".join(answer.split()) == "".join(told.split())


def test_a_question_after_a_promise_is_told_that_the_answer_comes(world: World) -> None:
    world.ask(f"请原样重复：答案 {SLOW}")
    assert world.ask("继续").text == texts.on_its_way
    pushed = [each.text for each in world.bubbles(2) if each.via == "push"]
    assert len(pushed) == 1


def test_an_answer_over_the_quota_rides_with_the_next_reply(world: World) -> None:
    yingda = world.rig.app.extensions["yingda"]
    world.wechat.faults.send_errcodes = [45047]
    world.ask(f"请原样重复：甲 {SLOW}")
    assert world.undelivered() == "wechat_45047"
    assert yingda.quotas.left("wechat", "default", OPENID) == 0
    outcome = world.ask("请原样重复：乙")
    assert outcome.text.index("甲") < outcome.text.index("乙")
    assert world.row("delivered", number=1)["delivery"] == "fetch"
    assert yingda.quotas.left("wechat", "default", OPENID) == 5


def test_pushes_are_counted_and_taps_count_apart(world: World) -> None:
    quotas = world.rig.app.extensions["yingda"].quotas
    world.ask(f"你好 {SLOW}")
    world.row("delivered")
    assert quotas.left("wechat", "default", OPENID) == 4
    world.wechat.send_event(OPENID, "CLICK", "menu")
    assert quotas.left("wechat", "default", OPENID) == 4 + 3


def test_nothing_secret_is_written_anywhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.wechat.faults.send_errcodes = [40001, 45047]
    world.ask(f"你好 {SLOW}")
    row = world.row("undelivered")
    token = world.wechat.tokens.stable()[0]
    written = caplog.text + "".join(str(each.__dict__) for each in caplog.records)
    assert "WeChat refuses" in written
    assert "rid: " in written
    for secret in (SECRET, token, AES_KEY, OPENID):
        assert secret not in written
    assert token not in str(row)
