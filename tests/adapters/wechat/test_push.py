"""Strategy `push`: wait once, promise, say `success`; on real sockets, with the seconds scaled down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest

from adapters.gateway import Gateway
from adapters.wechat import WeChatAdapter
from adapters.wechat.strategy import Hold, Timing
from errors import ConfigurationError
from handler.message import Reply
from handler.run import Progress, Run
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from settings import Settings
from tests.adapters.wechat.conftest import (
    AES_KEY,
    ALMOST_REAL,
    APPID,
    ORIGINAL_ID,
    PATIENCE,
    TOKEN,
    FakeGateway,
    serve,
)
from texts import Texts

SECRET = "an-app-secret-of-these-tests"
VERIFIED = {"wechat_account_kind": "verified", "wechat_appsecret": SECRET}
texts = Texts()


def run(attempt: int = 1) -> tuple[Run, Progress]:
    progress = Progress()
    return Run(1, "t", attempt, progress), progress


# the strategy alone


def test_a_promise_ends_the_wait_of_the_first_delivery() -> None:
    begun = time.monotonic()
    outcome = Hold(Timing(0.1, 5.0), 1).follow(run()[0], begun, promise=lambda: True)
    assert (outcome.reply, outcome.promised) == (None, True)
    assert time.monotonic() - begun < 3


def test_nothing_is_promised_that_comes_in_time() -> None:
    slow, progress = run()
    threading.Timer(0.05, progress.finish, [Reply("好", "coze")]).start()
    outcome = Hold(Timing(5, 6), 1).follow(slow, time.monotonic(), promise=lambda: bool(1 / 0))
    assert (outcome.reply, outcome.in_time, outcome.promised) == (Reply("好", "coze"), True, False)


@pytest.mark.slow
def test_without_the_promise_the_delivery_is_held() -> None:
    begun = time.monotonic()
    outcome = Hold(Timing(0.1, 0.4), 1).follow(run()[0], begun, promise=lambda: False)
    assert (outcome.reply, outcome.promised) == (None, False)
    assert time.monotonic() - begun >= 0.4


def test_what_went_out_meanwhile_is_there_to_be_repeated() -> None:
    last, progress = run(attempt=3)

    def refused() -> bool:
        progress.finish(Reply("好", "coze"))
        return False

    outcome = Hold(Timing(0.1, 0.4), 1).follow(last, time.monotonic(), promise=refused)
    assert (outcome.reply, outcome.promised) == (Reply("好", "coze"), False)


@pytest.mark.parametrize("kept", [True, False])
def test_when_every_place_is_taken_the_promise_is_made_at_once(kept: bool) -> None:
    hold = Hold(Timing(50.0, 51.0), places=1)
    waiting, progress = run()
    holder = threading.Thread(target=hold.follow, args=(waiting, time.monotonic()))
    holder.start()
    while hold.free:
        time.sleep(0.01)
    assert hold.follow(run()[0], time.monotonic(), promise=lambda: kept).promised is kept
    assert holder.is_alive(), "it was waited for the place"
    progress.finish(Reply("好", "coze"))
    holder.join()


# through WeChat's eyes


class Pushing:
    """A gateway whose answers the test decides, the adapter in front of it, and WeChat with its API."""

    def __init__(self, gateway: FakeGateway, adapter: WeChatAdapter, wechat: LocalWeChat) -> None:
        self.gateway = gateway
        self.adapter = adapter
        self.wechat = wechat

    def wait_for_typing(self, count: int = 1) -> bool:
        return until(lambda: len(self.wechat.typing) >= count)


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def settings_for(make_settings: Callable[..., Settings], url: str, **more: Any) -> Settings:
    values = {
        "wechat_token": TOKEN,
        "wechat_appid": APPID,
        "wechat_aes_key": AES_KEY,
        "wechat_original_id": ORIGINAL_ID,
        "wechat_api_base": url,
    }
    return make_settings(**{**values, **VERIFIED, **more})


@pytest.fixture
def open_pushing(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., Pushing]]:
    with ExitStack() as stack:

        def start(
            mode: str = "safe", timing: Timing = ALMOST_REAL, patience: float = PATIENCE, **more: Any
        ) -> Pushing:
            wechat = LocalWeChat(
                "", TOKEN, APPID, SECRET, AES_KEY, ORIGINAL_ID, cast(Any, mode), patience, verified=True
            )
            api = stack.enter_context(Server(create_app(wechat))).url
            gateway = FakeGateway(settings_for(make_settings, api, wechat_mode=mode, **more))
            adapter = WeChatAdapter(cast(Gateway, gateway), timing)
            wechat.callback_url = stack.enter_context(Server(serve(adapter))).url + "/api/wechat"
            return Pushing(gateway, adapter, wechat)

        yield start


@pytest.mark.parametrize("mode", ["safe", "compatible", "plain"])
def test_a_slow_answer_is_promised_and_wechat_told_success(open_pushing: Any, mode: str) -> None:
    world = open_pushing(mode)
    world.gateway.reply = None
    outcome = world.wechat.send_text("oCustomer", "很难的问题")
    assert (len(outcome.tries), outcome.bubbles, outcome.notice) == (1, [], False)
    assert outcome.tries[0].response == b"success"
    assert world.gateway.promised == [1]
    assert world.gateway.delivered == []


def test_an_answer_in_time_is_a_passive_reply(open_pushing: Any) -> None:
    world = open_pushing()
    outcome = world.wechat.send_text("oCustomer", "在吗", duplicate=1)
    assert [each.via for each in outcome.bubbles] == ["passive"]
    assert outcome.tries[0].decrypted == outcome.tries[1].decrypted
    assert (world.gateway.promised, world.gateway.delivered) == ([], [(1, "passive")])
    assert world.wechat.typing == []


def test_a_retry_of_what_was_promised_is_told_success_even_with_the_answer_there(open_pushing: Any) -> None:
    world = open_pushing()
    world.gateway.reply = None
    message = {"msg_id": 5, "create_time": int(time.time()), "tries": 1}
    assert world.wechat.send_text("oCustomer", "问题", **message).tries[0].response == b"success"
    world.gateway.finish("好")
    assert world.wechat.send_text("oCustomer", "问题", **message).tries[0].response == b"success"
    assert (world.gateway.promised, world.gateway.delivered, world.gateway.runs) == ([1], [], 1)


def test_without_a_database_to_promise_in_success_is_never_said(
    open_pushing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = open_pushing()
    world.gateway.reply, world.gateway.promise_breaks = None, True
    outcome = world.wechat.send_text("oCustomer", "问题")
    assert len(outcome.tries) == 3
    assert texts.thinking_fetch in outcome.text
    assert not outcome.notice
    assert "an answer could not be promised" in caplog.text


def test_a_database_that_comes_back_takes_the_promise_of_the_next_delivery(open_pushing: Any) -> None:
    world = open_pushing()
    world.gateway.reply, world.gateway.promise_breaks = None, True
    threading.Timer(1.0, setattr, [world.gateway, "promise_breaks", False]).start()
    outcome = world.wechat.send_text("oCustomer", "问题")
    assert (len(outcome.tries), outcome.bubbles, outcome.notice) == (2, [], False)
    assert world.gateway.promised == [1]


def test_when_the_cap_is_reached_success_comes_at_once(open_pushing: Any) -> None:
    world = open_pushing(wechat_held_requests=1, timing=Timing(50, 51), patience=55.0)
    world.gateway.reply = None
    holder = threading.Thread(target=world.wechat.send_text, args=("oFirst", "问题"))
    holder.start()
    assert until(lambda: bool(world.gateway.held))
    outcome = world.wechat.send_text("oSecond", "问题")
    assert outcome.tries[0].response == b"success"
    assert holder.is_alive(), "it was waited for the place"
    world.gateway.finish("好")
    holder.join()
    assert (world.gateway.promised, world.gateway.delivered) == ([2], [(1, "passive")])


@pytest.mark.parametrize("strategy", ["hold", "placeholder"])
def test_a_verified_account_may_choose_otherwise(open_pushing: Any, strategy: str) -> None:
    world = open_pushing(wechat_strategy=strategy)
    world.gateway.reply = None
    outcome = world.wechat.send_text("oCustomer", "问题")
    assert texts.thinking_fetch in outcome.text
    assert (world.gateway.promised, world.wechat.typing) == ([], [])


# the sign of life


def test_typing_is_shown_once_while_the_answer_is_made(open_pushing: Any) -> None:
    world = open_pushing()
    world.gateway.reply = None
    message = {"msg_id": 5, "create_time": int(time.time()), "tries": 1}
    for _ in range(3):
        world.wechat.send_text("oCustomer", "问题", **message)
    assert world.wait_for_typing()
    time.sleep(0.2)
    assert [(each.openid, each.command) for each in world.wechat.typing] == [("oCustomer", "Typing")]


@pytest.mark.parametrize("fault", ["refused", "html", "slow", "away"])
def test_typing_that_fails_harms_nobody(
    open_pushing: Any, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.INFO)
    world = open_pushing()
    world.gateway.reply = None
    match fault:
        case "refused":
            world.wechat.verified = False
        case "html":
            world.wechat.faults.token_html = True
        case "slow":
            world.wechat.faults.token_delay = 3.0
        case "away":
            world.adapter.apis["default"]._base = "http://127.0.0.1:9"
    outcome = world.wechat.send_text("oCustomer", "问题")
    assert outcome.tries[0].response == b"success"
    if fault != "slow":
        assert until(lambda: "typing is not shown" in caplog.text)
    assert world.wechat.typing == []


def test_typing_is_not_shown_after_the_answer(open_pushing: Any) -> None:
    world = open_pushing()
    world.gateway.reply = None
    world.wechat.faults.token_delay = 0.5
    world.wechat.send_text("oCustomer", "问题")
    world.gateway.finish("好")
    assert until(lambda: world.wechat.tokens.fetches == 1)
    time.sleep(0.2)
    assert world.wechat.typing == []


def test_a_hanging_wechat_gets_few_typing_calls_and_the_customers_their_success(open_pushing: Any) -> None:
    world = open_pushing()
    world.gateway.reply = None
    world.wechat.faults.token_delay = 2.0
    crowd = [
        threading.Thread(target=world.wechat.send_text, args=(f"oCustomer{number}", "问题"))
        for number in range(15)
    ]
    # those of tests before this one may still hang
    before = set(threading.enumerate())
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    assert sum(each.name == "typing" for each in {*threading.enumerate()} - before) <= 8
    assert len(world.gateway.promised) == 15
    assert world.wechat.notices == 0


# settings


def test_push_without_an_appsecret_stops_the_start(make_settings: Callable[..., Settings]) -> None:
    settings = settings_for(
        make_settings, "http://127.0.0.1:9", wechat_appsecret=None, wechat_strategy="push"
    )
    with pytest.raises(ConfigurationError, match="WECHAT_APPSECRET"):
        WeChatAdapter(cast(Gateway, FakeGateway(settings)))


def test_a_verified_account_without_an_appsecret_holds_and_says_so(
    open_pushing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = open_pushing(wechat_appsecret=None)
    assert "WECHAT_APPSECRET" in caplog.text
    world.gateway.reply = None
    assert texts.thinking_fetch in world.wechat.send_text("oCustomer", "问题").text
    assert world.gateway.promised == []
