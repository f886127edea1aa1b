"""What a customer sees of a call of WeChat's API, and what travels."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.wechat.client import OfficialApi
from sandbox.wechat import LocalWeChat
from storage import tokens as shared
from tests.adapters.wechat.api.conftest import OK, OPENID, TOKEN, account
from tests.coze.wire import answer_json


def test_a_message_arrives_and_is_marked_as_made_by_ai(api: OfficialApi, wechat: LocalWeChat) -> None:
    api.custom_send(OPENID, '"你好" \\ 👋\n第二行', ai=True)
    (bubble,) = wechat.inbox(OPENID)
    assert (bubble.text, bubble.via, bubble.ai) == ('"你好" \\ 👋\n第二行', "push", True)


def test_words_of_others_than_the_bot_bear_no_mark(api: OfficialApi, wechat: LocalWeChat) -> None:
    api.custom_send(OPENID, "您好，我是客服小王")
    assert not wechat.inbox(OPENID)[0].ai
    assert "aimsgcontext" not in wechat.pushes[0].body


def test_an_account_may_leave_the_mark_out(url: str, tokens: shared.Tokens, wechat: LocalWeChat) -> None:
    OfficialApi(account(url, ai_label=False), tokens).custom_send(OPENID, "好", ai=True)
    assert not wechat.inbox(OPENID)[0].ai


def test_json_travels_as_utf_8_without_escapes(scripted: Any) -> None:
    api, wire = scripted(TOKEN, OK)
    api.custom_send(OPENID, "你好\ud800", ai=True)
    request = wire.seen[1]
    assert "你好?".encode() in request.body
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert parse_qs(urlsplit(request.line.split()[1]).query) == {"access_token": ["t0ken-of-this-test"]}
    assert json.loads(request.body)["aimsgcontext"] == {"is_ai_msg": 1}


def test_typing_is_shown(api: OfficialApi, wechat: LocalWeChat) -> None:
    api.typing(OPENID)
    assert [(each.openid, each.command) for each in wechat.typing] == [(OPENID, "Typing")]


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/html"])
def test_the_content_type_of_an_answer_means_nothing(scripted: Any, kind: str) -> None:
    api, _ = scripted(TOKEN, OK.replace(b"application/json", kind.encode()))
    api.custom_send(OPENID, "好")


def test_an_answer_without_errcode_is_a_yes(scripted: Any) -> None:
    api, _ = scripted(TOKEN, answer_json({"msgid": 5}))
    api.custom_send(OPENID, "好")
