"""A late answer is never sent twice: the point of no return, and what goes wrong on the way."""

from __future__ import annotations

import pytest

from adapters.wechat import WeChatAdapter
from errors import InDoubt, NotNow, Undeliverable, UpstreamError
from sandbox.wechat import LocalWeChat
from tests.adapters.wechat.late.conftest import Sending, answer, bubbles, hurry, quotas, rests

# the point of no return


def test_sending_is_called_once_after_the_token_and_before_the_first_message(
    adapter: WeChatAdapter, sending: Sending
) -> None:
    adapter.push(answer("这是一句话。" * 2000), sending)
    assert sending.seen == [(1, 0)]


def test_a_job_that_another_runner_has_sends_nothing(adapter: WeChatAdapter, wechat: LocalWeChat) -> None:
    def lost() -> None:
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError):
        adapter.push(answer("答案"), lost)
    assert bubbles(wechat) == []


def test_without_a_token_the_sending_has_not_begun(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    wechat.ip_whitelist = {"192.0.2.1"}
    with pytest.raises(Undeliverable, match="wechat_40164"):
        adapter.push(answer("答案"), sending)
    wechat.ip_whitelist, wechat.faults.token_html = None, True
    with pytest.raises(NotNow):
        adapter.push(answer("答案"), sending)
    assert sending.seen == []


# what goes wrong on the way


@pytest.mark.parametrize(
    ("errcode", "kind"), [(-1, NotNow), (45011, NotNow), (45047, Undeliverable), (48001, Undeliverable)]
)
def test_before_the_first_part_is_accepted_an_error_is_what_it_is(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, errcode: int, kind: type[UpstreamError]
) -> None:
    wechat.faults.send_errcodes = [errcode]
    with pytest.raises(kind, match=f"^wechat_{errcode}$"):
        adapter.push(answer("这是一句话。" * 2000), sending)
    assert bubbles(wechat) == []


def test_a_refusal_half_way_is_final_and_says_where(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    wechat.faults.send_errcodes = [0, 45047]
    quotas(adapter).allowed = 5
    said = "这是一句话。" * 2000
    with pytest.raises(Undeliverable, match=r"^part 2 of 3: wechat_45047$"):
        adapter.push(answer(said), sending)
    (first,) = bubbles(wechat)
    assert (first + rests(adapter)[1]).replace("\n", "") == said, "the rest can be had"
    assert quotas(adapter).allowed == 0, "WeChat's count is the one that counts"


def test_a_busy_moment_half_way_is_waited_out(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    wechat.faults.send_errcodes = [0, 45011, -1]
    adapter.push(answer("这是一句话。" * 600), sending)
    assert "".join(bubbles(wechat)).startswith("这是一句话。" * 330)
    assert len(bubbles(wechat)) == len(set(map(id, wechat.pushes))) == 3


def test_a_wechat_that_stays_busy_half_way_is_not_begun_again(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    wechat.faults.send_errcodes = [0, -1, -1, -1, -1, -1]
    with pytest.raises(Undeliverable, match=r"^part 2 of 3: wechat_-1$"):
        adapter.push(answer("这是一句话。" * 2000), sending)
    assert len(bubbles(wechat)) == 1


def test_silence_leaves_the_message_in_doubt_and_the_rest_unsent(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    hurry(adapter)
    wechat.faults.send_delay = 3.0
    with pytest.raises(InDoubt):
        adapter.push(answer("这是一句话。" * 2000), sending)
    assert len(bubbles(wechat)) == 1


def test_an_account_that_cannot_be_called_is_named(adapter: WeChatAdapter, sending: Sending) -> None:
    with pytest.raises(Undeliverable, match="another"):
        adapter.push(answer("答案", account="another"), sending)
    assert sending.seen == []
