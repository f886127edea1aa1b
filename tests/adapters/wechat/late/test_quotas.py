"""How many messages WeChat lets a late answer have, and for how long."""

from __future__ import annotations

import pytest

from adapters.wechat import WeChatAdapter
from adapters.wechat.passive import more
from errors import InDoubt, Undeliverable, UpstreamError
from sandbox.wechat import LocalWeChat
from tests.adapters.wechat.late.conftest import (
    OPENID,
    Clock,
    Sending,
    answer,
    bubbles,
    hurry,
    quotas,
    rests,
    texts,
)


def test_an_answer_is_cut_to_what_may_be_sent(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    quotas(adapter).allowed = 2
    said = "这是一句话。" * 2000
    adapter.push(answer(said), sending)
    first, second = bubbles(wechat)
    assert first + second.removesuffix(more(texts)) + rests(adapter)[1] == said
    assert quotas(adapter).allowed == 0


def test_without_quota_wechat_is_not_asked(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    quotas(adapter).allowed = 0
    with pytest.raises(Undeliverable, match="wechat_45047"):
        adapter.push(answer("答案"), sending)
    assert (bubbles(wechat), sending.seen) == ([], [])


@pytest.mark.parametrize("errcode", [-1, 45011, 48001, 45015])
def test_what_wechat_refused_is_not_counted(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, errcode: int
) -> None:
    quotas(adapter).allowed = 5
    wechat.faults.send_errcodes = [errcode]
    with pytest.raises(UpstreamError, match=str(errcode)):
        adapter.push(answer("答案"), sending)
    assert quotas(adapter).allowed == 5


def test_what_may_have_arrived_is_counted(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    quotas(adapter).allowed = 5
    hurry(adapter)
    wechat.faults.send_delay = 3.0
    with pytest.raises(InDoubt):
        adapter.push(answer("这是一句话。" * 2000), sending)
    assert quotas(adapter).allowed == 4


def test_a_sixth_message_is_refused_for_good_until_the_customer_writes(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    for number in range(5):
        adapter.push(answer(str(number)), sending)
    with pytest.raises(Undeliverable, match="wechat_45047"):
        adapter.push(answer("六"), sending)
    wechat.send_text(OPENID, "继续", tries=1)
    adapter.push(answer("六"), sending)
    assert bubbles(wechat) == ["0", "1", "2", "3", "4", "六"]


def test_two_days_after_the_question_nothing_can_be_sent(
    adapter: WeChatAdapter, wechat: LocalWeChat, clock: Clock, sending: Sending
) -> None:
    clock.time += 48 * 3600 + 1
    with pytest.raises(Undeliverable, match="wechat_45015"):
        adapter.push(answer("答案"), sending)


def test_the_longest_answer_fits_the_minute_after_a_tap(
    adapter: WeChatAdapter, wechat: LocalWeChat, clock: Clock, sending: Sending
) -> None:
    clock.time += 48 * 3600 + 1
    wechat.send_event(OPENID, "CLICK", "继续", tries=1)
    adapter.push(answer("这是一句话。" * 2000), sending)
    assert len(bubbles(wechat)) == 3


def test_an_account_without_the_right_is_told_so(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    wechat.verified = False
    with pytest.raises(Undeliverable, match="wechat_48001"):
        adapter.push(answer("答案"), sending)
