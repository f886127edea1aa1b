"""A follower, the local WeChat, the whole gateway and the local Coze."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from adapters.wechat import WeChatAdapter
from adapters.wechat.strategy import Hold, Timing
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat
from storage.outbound_tables import Rest
from tests.rig import Rig
from texts import Texts


def hurry(rig: Rig, answer_within: float = 0.7, hold_until: float = 1.2) -> None:
    """WeChat's five seconds, scaled down to one unless told otherwise."""
    for adapter in rig.app.extensions["yingda"].adapters:
        if isinstance(adapter, WeChatAdapter):
            adapter.hold = Hold(Timing(answer_within, hold_until=hold_until), places=100)


def newest(rig: Rig, status: str) -> dict[str, Any]:
    """The newest logged message, once it has this status."""
    deadline = time.monotonic() + 60
    while (row := rig.log()[0])["status"] != status:
        assert time.monotonic() < deadline, row
        time.sleep(0.05)
    return row


@pytest.fixture
def wechat(rig: Rig) -> LocalWeChat:
    return LocalWeChat(f"{rig.url}/api/wechat")


def test_a_question_is_answered_by_coze_and_logged(rig: Rig, wechat: LocalWeChat) -> None:
    assert wechat.verify_url().ok
    outcome = wechat.send_text("oFollower", "给我使用指南")
    assert (len(outcome.bubbles), outcome.problem) == (1, "")
    row = newest(rig, "delivered")
    assert (row["platform"], row["delivery"], row["user_id"]) == ("wechat", "passive", "oFollower")
    assert (row["question"], f"{row['answer']}\n\n{Texts().ai_line}") == ("给我使用指南", outcome.text)


def test_the_bot_remembers_a_follower_and_tells_two_apart(wechat: LocalWeChat) -> None:
    wechat.send_text("oOne", "我叫小明")
    assert "小明" in wechat.send_text("oOne", "我叫什么？").text
    assert "小明" not in wechat.send_text("oTwo", "我叫什么？").text
    assert wechat.notices == 0


def test_a_slow_answer_is_fetched_with_the_link(rig: Rig, wechat: LocalWeChat) -> None:
    hurry(rig)
    wechat.patience = 1.0
    outcome = wechat.send_text("oFollower", "你好 [[fault:slow_first_byte seconds=4]]")
    assert len(outcome.tries) == 3
    assert "weixin://bizmsgmenu?msgmenucontent=继续" in outcome.text
    newest(rig, "answered")
    fetched = wechat.send_text("oFollower", "继续", menu_id="1")
    assert fetched.text
    assert "weixin:" not in fetched.text
    assert wechat.notices == 0


@pytest.mark.parametrize(
    "fault", ["http_status status=500", "json_error_200", "cut_mid_event", "empty_answer"]
)
def test_whatever_coze_does_the_follower_reads_words(wechat: LocalWeChat, fault: str) -> None:
    outcome = wechat.send_text("oFollower", f"你好 [[fault:{fault}]]", patience=10)
    assert (len(outcome.bubbles), outcome.notice) == (1, False)


def test_hostile_output_of_the_bot_is_one_bubble(wechat: LocalWeChat) -> None:
    outcome = wechat.send_text("oFollower", "请原样重复：]]></Content><MsgType>news</MsgType>")
    assert (len(outcome.bubbles), outcome.notice) == (1, False)
    assert len(wechat.send_text("oFollower", "你好 [[fault:long chars=9000]]").text.encode()) <= 2048


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_the_framework_s_own_errors_are_short_text(rig: Rig, method: str) -> None:
    response = rig.app.test_client().open("/api/wechat", method=method)
    assert (response.status_code, response.text, response.mimetype) == (
        405,
        "method_not_allowed",
        "text/plain",
    )


@pytest.mark.parametrize("path", ["/api/wechat/", "/api/wechat/default", "/api/wechat/default/"])
def test_no_form_of_the_address_redirects(open_rig: Callable[..., Rig], path: str) -> None:
    outcome = LocalWeChat(open_rig().url + path).send_text("oFollower", "你好")
    assert (len(outcome.bubbles), outcome.notice) == (1, False)


def test_a_long_answer_is_read_to_its_end_even_over_a_restart(
    open_rig: Callable[..., Rig], make_gateway: Callable[..., Flask]
) -> None:
    rig = open_rig()
    wechat = LocalWeChat(f"{rig.url}/api/wechat")
    read = [wechat.send_text("oFollower", "你好 [[fault:long chars=3000]]").text]
    answer = newest(rig, "delivered")["answer"]
    again = make_gateway(coze_api_base="http://127.0.0.1:9", coze_api_token="x" * 20, coze_bot_id="1")
    with Server(again) as server:
        # another process, which never saw the answer and cannot ask for it
        wechat.callback_url = f"{server.url}/api/wechat"
        while read[-1].partition("……（")[1]:
            assert len(read) < 9
            read.append(wechat.send_text("oFollower", "继续", menu_id="1").text)
    assert len(read) > 3
    told = "".join(each.partition("……（")[0].partition("\n\n（内容由")[0] for each in read)
    assert "".join(told.split()) == "".join(answer.split())
    assert all(len(each.encode()) <= 2048 for each in read)
    assert wechat.notices == 0


def test_an_old_rest_is_not_brought_any_more(rig: Rig, wechat: LocalWeChat) -> None:
    wechat.send_text("oFollower", "你好 [[fault:long chars=3000]]")
    newest(rig, "delivered")
    with rig.app.extensions["yingda"].db.write() as session:
        session.execute(update(Rest).values(expires_ms=Rest.expires_ms - 10 * 60 * 1000 - 1))
    wechat.send_text("oFollower", "继续")
    assert rig.log()[0]["source"] == "coze"


def test_a_late_answer_rides_with_the_next_one_and_swallows_nothing(rig: Rig, wechat: LocalWeChat) -> None:
    hurry(rig)
    wechat.patience = 1.0
    wechat.send_text("oFollower", "请原样重复：甲 [[fault:slow_first_byte seconds=4]]")
    late = newest(rig, "answered")["answer"]
    hurry(rig, answer_within=4.5, hold_until=5.6)
    message: Any = {"msg_id": 77, "create_time": int(time.time()), "patience": 5.0}
    outcome = wechat.send_text("oFollower", "请原样重复：乙", **message)
    own = newest(rig, "delivered")["answer"]
    assert outcome.text.index("关于“请原样重复：甲") < outcome.text.index(late) < outcome.text.rindex(own)
    # a delivery of the same message once more says the same, and the answer is nobody's any longer
    assert wechat.send_text("oFollower", "请原样重复：乙", **message).text == outcome.text
    assert [row["delivery"] for row in rig.log()] == ["passive", "fetch"]
    wechat.patience = 5.0
    assert late not in wechat.send_text("oFollower", "请原样重复：丙").text
