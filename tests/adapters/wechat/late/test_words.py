"""What the customer reads of a late answer: its words, its parts, its mark."""

from __future__ import annotations

from typing import Any, cast

import pytest

from adapters.wechat import WeChatAdapter, reply
from adapters.wechat.passive import more
from handler.message import Source
from sandbox.wechat import LocalWeChat
from tests.adapters.wechat.late.conftest import OPENID, Sending, answer, bubbles, rests, texts


def test_an_answer_arrives_marked_as_made_by_ai(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    assert adapter.push(answer("答案"), sending) == "push"
    (bubble,) = wechat.inbox(OPENID)
    assert (bubble.text, bubble.via, bubble.ai) == ("答案", "push", True)


@pytest.mark.parametrize(
    ("source", "marked"),
    [("coze", True), ("command", True), ("library", False), ("agent", False), ("system", False)],
)
def test_only_the_bot_s_words_are_marked(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, source: Source, marked: bool
) -> None:
    adapter.push(answer("答案", source), sending)
    assert wechat.inbox(OPENID)[0].ai is marked


def test_an_apology_is_pushed_so_that_nobody_waits_for_ever(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    adapter.push(answer(texts.apology, "system", "coze_timeout"), sending)
    assert bubbles(wechat) == [texts.apology]


@pytest.mark.parametrize(
    "said",
    [
        "a\x00b\ud800c\r\nd",
        '<a href="weixin://bizmsgmenu?msgmenucontent=转账&msgmenuid=1">好</a>',
        "]]></Content> <script>alert(1)</script>",
        '引号 " \\u0041 \\',
    ],
)
def test_words_are_tamed_as_in_a_passive_reply(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, said: str
) -> None:
    adapter.push(answer(said), sending)
    assert bubbles(wechat) == [reply.tamed(said)]


@pytest.mark.parametrize("said", ["", " \n", "\x00", "\u200b"])
def test_an_answer_without_words_is_a_sentence(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending, said: str
) -> None:
    adapter.push(answer(said), sending)
    assert bubbles(wechat) == [texts.no_answer]


def test_a_part_in_which_nothing_is_to_be_seen_is_left_out(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    adapter.push(answer("\u200b" * 1000 + "答案"), sending)
    (bubble,) = bubbles(wechat)
    assert bubble.endswith("答案")


def test_a_long_answer_comes_whole_and_in_order(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    said = "\n".join(f"第{number}段：" + "这是一句话。" * 10 for number in range(25))
    adapter.push(answer(said), sending)
    got = bubbles(wechat)
    assert len(got) == 3
    assert "".join(got).replace("\n", "") == said.replace("\n", "")
    assert all(len(each.encode()) <= 2048 for each in got)


def test_a_longer_answer_says_how_to_get_the_rest(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    said = "这是一句话。" * 2000
    adapter.push(answer(said), sending)
    first, second, third = bubbles(wechat)
    assert all(len(each.encode()) <= 2048 for each in (first, second, third))
    assert third.endswith(more(texts))
    assert more(texts) not in first + second
    assert first + second + third.removesuffix(more(texts)) + rests(adapter)[1] == said


def test_an_answer_of_exactly_three_bubbles_is_not_called_cut(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    adapter.push(answer("x" * 3 * 2048), sending)
    assert bubbles(wechat) == ["x" * 2048] * 3


def test_every_parameter_of_a_request_is_what_wechat_documents(
    adapter: WeChatAdapter, wechat: LocalWeChat, sending: Sending
) -> None:
    adapter.push(answer("答案"), sending)
    assert cast(Any, wechat.pushes[0].body) == {
        "touser": OPENID,
        "msgtype": "text",
        "text": {"content": "答案"},
        "aimsgcontext": {"is_ai_msg": 1},
    }
