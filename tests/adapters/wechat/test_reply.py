"""Replies stay well-formed, readable and harmless, whatever the bot said."""

from __future__ import annotations

import re
import time
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wechat.crypto import Cipher
from adapters.wechat.reply import TAP, TEXT_BYTES, cleaned, fitted, sealed_reply, tamed, text_reply
from sandbox.wechat.crypto import Cipher as SandboxCipher
from sandbox.wechat.crypto import sign
from texts import Texts

SUFFIX = Texts().truncated


def shown(text: str) -> str:
    root = ElementTree.fromstring(text_reply("o1", "gh_1", 1_700_000_000, text))
    assert [each.tag for each in root] == ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"]
    return root.findtext("Content") or ""


def test_the_reply_is_addressed_and_dated() -> None:
    root = ElementTree.fromstring(text_reply("o1", "gh_1", 1_700_000_000, "好"))
    assert [each.text for each in root] == ["o1", "gh_1", "1700000000", "text", "好"]


@pytest.mark.parametrize(
    "text",
    [
        "a]]>b",
        "x]]></Content><MsgType>news</MsgType><Content><![CDATA[y",
        "]]]]>>]]>",
        "<![CDATA[",
        "&amp; <b> {braces} %s",
        "多行\n\t缩进",
        "👨‍👩‍👧 \U0010ffff",
    ],
)
def test_any_text_arrives_as_it_was(text: str) -> None:
    assert shown(text) == text


def test_characters_that_xml_forbids_are_left_out() -> None:
    assert shown("a\x00b\x1dc\ufffed\uffffe\ud800f") == "abcdef"
    assert cleaned("\x00 a\r\nb\rc \ud83d") == "a\nb\nc"


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\x00\x01", "\u200b", "\ufeff\u2060", "\ud800"])
def test_a_text_in_which_nothing_is_visible_is_empty(text: str) -> None:
    assert cleaned(text) == ""
    assert tamed(text) == ""


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None), max_size=1500))
def test_every_text_makes_a_valid_reply(text: str) -> None:
    content = fitted(tamed(text), SUFFIX)
    if content:
        assert shown(content) == content
        assert len(content.encode()) <= TEXT_BYTES


def test_a_long_answer_is_cut_to_the_limit_with_the_hint_inside() -> None:
    content = fitted("这是一句话。" * 500, SUFFIX)
    assert content.endswith("。" + SUFFIX)
    assert TEXT_BYTES - 30 < len(content.encode()) <= TEXT_BYTES


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://example.com/?a=1&b=2">看这里</a>',
        "<a href='http://example.com'>看这里</a>",
        '<A HREF="https://example.com">x</A>',
        "如果 b < c，那么 <b>重点</b> <abbr>x</abbr>",
        "weixin: 我的微信号",
        "**粗体** `code` https://example.com",
    ],
)
def test_harmless_text_and_web_links_stay_as_they_are(text: str) -> None:
    assert tamed(text) == text


@pytest.mark.parametrize(
    "text",
    [
        '<a href="weixin://bizmsgmenu?msgmenucontent=转账&msgmenuid=1">点我</a>',
        "<a href='weixin://bizmsgmenu?msgmenucontent=1&msgmenuid=1'>x</a>",
        "<a href=weixin://x>x</a>",
        '<A\nHREF="WeiXin://x">x</A>',
        '< a href="weixin://x">x</a>',
        '<a href="weixin&#58;//x">x</a>',
        '<a href="wei\x00xin://x">x</a>',
        '<a href="weixin&#58;//x" <b>x</a>',
        '<a class="y" href="javascript:alert(1)">x</a>',
        '<a <a href="https://ok">href="weixin&#58;//x">x</a>',
        '<a href="https://ok" onclick="x">x</a>',
        '<a href="https://ok"x href="weixin://x">x</a>',
        '<a/href="tel:1">x</a>',
        '<a data-miniprogram-appid="wx1" data-miniprogram-path="p">x</a>',
        "weixin://dl/business",
        "weixin : //dl/business",
    ],
)
def test_a_bot_cannot_offer_links_that_act_for_the_customer(text: str) -> None:
    result = tamed(text)
    assert not re.search(r"weixin\s*:\s*/", result, re.IGNORECASE)
    for opened in re.findall(r"<\s*a\b[^>]*>?", result, re.IGNORECASE):
        assert re.fullmatch(r"""<a href="https://ok">""", opened)


@pytest.mark.parametrize("piece", ["<a ", "< ", "<a href=", "weixin ", "<a href='http://", "weixin:", " <"])
def test_no_text_makes_taming_slow(piece: str) -> None:
    begun = time.process_time()
    tamed(piece * (100_000 // len(piece)))
    assert time.process_time() - begun < 1


def test_our_own_link_survives_the_renderer() -> None:
    text = Texts().thinking.format(fetch=TAP.format(command="继续", words=Texts().thinking_fetch))
    assert shown(text) == text
    assert '<a href="weixin://bizmsgmenu?msgmenucontent=继续&msgmenuid=1">获取答案</a>' in text


def test_a_sealed_reply_can_be_opened_by_wechat() -> None:
    key, appid = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx1"
    xml = sealed_reply("<xml>好</xml>", "token", Cipher(key, appid), 1_700_000_000, "n1")
    root = ElementTree.fromstring(xml)
    fields = {each.tag: each.text or "" for each in root}
    assert list(fields) == ["Encrypt", "MsgSignature", "TimeStamp", "Nonce"]
    assert SandboxCipher(key, appid).decrypt(fields["Encrypt"]) == "<xml>好</xml>"
    assert fields["MsgSignature"] == sign("token", "1700000000", "n1", fields["Encrypt"])
    assert fields["Nonce"] == "n1"
