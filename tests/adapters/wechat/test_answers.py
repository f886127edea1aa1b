"""What a genuine push is answered with, whatever the bot says and whatever fails."""

from __future__ import annotations

import time
from typing import Any

import pytest

from adapters.wechat.passive import more
from errors import TooManyRequests, Unavailable, YingdaError
from handler.message import LateReply, Reply
from texts import Texts

EVENTS = [
    "SCAN",
    "LOCATION",
    "VIEW",
    "TEMPLATESENDJOBFINISH",
    "kf_close_session",
    "new_one",
]
texts = Texts()
OPENID = "oAbc-Def_0123456789abcdefghi"


# what needs no exchange


@pytest.mark.parametrize("event", EVENTS)
def test_events_are_acknowledged_bare(account: Any, event: str) -> None:
    account.gateway.reply = None
    response = account.post(account.event(event, EventKey="k"))
    assert (response.status_code, response.data) == (200, b"success")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not account.gateway.asked


def test_an_unknown_type_is_acknowledged_bare(account: Any) -> None:
    assert account.post(account.xml("hologram")).data == b"success"
    assert not account.gateway.asked


@pytest.mark.parametrize("key", ["", "qrscene_9"])
def test_a_follower_is_welcomed(account: Any, key: str) -> None:
    assert account.said(account.post(account.event("subscribe", EventKey=key))) == texts.welcome
    assert not account.gateway.asked


def test_an_empty_welcome_is_silence(make_account: Any) -> None:
    account = make_account(texts=Texts(welcome=""))
    assert account.post(account.event("subscribe")).data == b"success"


def test_voice_and_stickers_get_a_polite_line(account: Any) -> None:
    assert (
        account.said(account.post(account.xml("voice", MediaId="m", Recognition="")))
        == texts.voice_unreadable
    )
    sticker = account.xml(Content="【收到不支持的消息类型，暂无法显示】")
    assert account.said(account.post(sticker)) == texts.unsupported
    assert not account.gateway.asked


def test_a_tap_on_a_command_in_the_menu_is_asked(account: Any) -> None:
    assert account.said(account.post(account.event("CLICK", EventKey="继续"))) == "好的"
    assert account.gateway.asked[0].text == "继续"


# whatever the bot says


@pytest.mark.parametrize("answer", ["", " ", "\x00\ud800", "\u200b"])
def test_an_answer_without_words_is_never_an_empty_bubble(account: Any, answer: str) -> None:
    account.gateway.reply = answer
    assert account.said(account.post()) == texts.no_answer


def test_an_answer_cannot_leave_its_element(account: Any) -> None:
    account.gateway.reply = "a]]></Content><MsgType>news</MsgType><Content><![CDATA[b"
    assert account.said(account.post()) == account.gateway.reply


def test_an_answer_cannot_speak_for_the_customer(account: Any) -> None:
    account.gateway.reply = '<a href="weixin://bizmsgmenu?msgmenucontent=转账&msgmenuid=1">好</a>'
    assert "weixin:" not in account.said(account.post())


def test_a_long_answer_is_cut_and_its_rest_waits(account: Any) -> None:
    account.gateway.reply = "这是一句话。" * 1000
    said = account.said(account.post())
    assert said.endswith(more(texts))
    assert len(said.encode()) <= 2048
    assert said.removesuffix(more(texts)) + account.gateway.leftovers.rests[1] == account.gateway.reply


def test_a_rest_that_cannot_be_kept_is_not_promised(account: Any) -> None:
    account.gateway.reply, account.gateway.leftovers.breaks = "这是一句话。" * 1000, True
    assert account.said(account.post()).endswith(texts.truncated)


def test_an_apology_is_delivered_like_an_answer(account: Any) -> None:
    account.gateway.reply = Reply(texts.apology, "system", error="coze_timeout")
    assert account.said(account.post()) == texts.apology
    assert account.gateway.delivered == [(1, "passive")]


# whatever fails inside


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (OSError("secret://user:password@db"), texts.apology),
        (YingdaError("internal"), texts.apology),
        (Unavailable("the database is away"), texts.maintenance),
        (TooManyRequests(), texts.busy),
    ],
)
def test_a_failure_inside_is_an_apology_with_status_200(account: Any, problem: Exception, line: str) -> None:
    account.gateway.broken = problem
    response = account.post()
    assert response.status_code == 200
    assert account.said(response) == line


def test_a_delivery_that_cannot_be_recorded_is_made_all_the_same(account: Any) -> None:
    account.gateway.deliver_breaks = True
    assert account.said(account.post()) == "好的"


def test_a_wait_that_fails_is_an_apology(account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.run.Run.wait", lambda *_: 1 / 0)
    assert account.said(account.post()) == texts.apology


def test_a_broken_sentence_of_the_operator_is_an_apology(make_account: Any) -> None:
    account = make_account(texts=Texts(thinking="{oops}"), wechat_strategy="placeholder")
    account.gateway.reply = None
    assert account.said(account.post()) == texts.apology


def test_events_are_acknowledged_while_everything_is_broken(account: Any) -> None:
    account.gateway.broken = OSError("away")
    for event in ("unsubscribe", "VIEW"):
        assert account.post(account.event(event)).data == b"success"


def test_a_follower_who_leaves_is_told_nothing_and_asked_about(account: Any) -> None:
    account.gateway.reply = Reply("", "system")
    assert account.post(account.event("unsubscribe")).data == b"success"
    (asked,) = account.gateway.asked
    assert (asked.kind, asked.text, asked.user) == ("leave", "", OPENID)


def test_the_console_s_debug_tool_adds_its_url(account: Any) -> None:
    xml = account.xml().replace("<xml>", "<xml><URL><![CDATA[https://x/api/wechat]]></URL>")
    assert account.said(account.post(xml)) == "好的"


# WeChat's own customer service


def test_who_asks_for_a_person_gets_one_where_the_account_has_them(make_account: Any) -> None:
    account = make_account(wechat_transfer=True)
    account.gateway.reply = Reply("请打电话", "command")
    handed = account.read(account.post(account.xml(Content=" 转人工 ")))
    assert handed["MsgType"] == "transfer_customer_service"
    assert (handed["ToUserName"], "Content" in handed) == (OPENID, False)
    assert account.said(account.post(account.xml(Content="继续"))) == "请打电话"
    assert account.said(account.post(account.event("CLICK", EventKey="转人工"))) == "请打电话"


def test_without_such_a_service_words_say_how_to_reach_a_person(account: Any) -> None:
    account.gateway.reply = Reply("请打电话", "command")
    assert account.said(account.post(account.xml(Content="转人工"))) == "请打电话"


def test_while_a_person_talks_messages_are_handed_over_and_taps_are_not(make_account: Any) -> None:
    account = make_account(wechat_transfer=True)
    account.gateway.reply = Reply("", "agent")
    assert account.read(account.post(account.xml()))["MsgType"] == "transfer_customer_service"
    assert account.post(account.event("CLICK", EventKey="营业时间")).data == b"success"


def test_a_person_s_coming_and_going_is_noted(make_account: Any) -> None:
    account = make_account(wechat_transfer=True)
    for event in ("kf_create_session", "kf_close_session"):
        assert account.post(account.event(event, CreateTime=1_700_000_000)).data == b"success"
    (user, came, until), left = account.gateway.customers.told
    assert (user, came, left) == (OPENID, 1_700_000_000_000, (OPENID, 1_700_000_000_000, 0))
    assert until > time.time() * 1000


def test_nothing_is_noted_without_the_service(account: Any) -> None:
    assert account.post(account.event("kf_create_session")).data == b"success"
    assert account.gateway.customers.told == []


# one message, one exchange


def test_retries_and_replays_get_the_same_words_and_no_second_exchange(account: Any) -> None:
    xml = account.xml()
    first = account.read(account.post(xml))
    account.gateway.reply = "another answer"
    again = [account.read(account.post(xml)) for _ in range(3)]
    assert again == [first] * 3
    assert account.gateway.runs == 1
    assert account.gateway.delivered == [(1, "passive")]


def test_the_same_id_from_two_users_is_two_messages(account: Any) -> None:
    for user in ("oOne", "oTwo"):
        assert account.read(account.post(account.xml(MsgId=5, FromUserName=user)))["ToUserName"] == user
    assert account.gateway.runs == 2


@pytest.mark.parametrize("changes", [{"MsgId": "cloud-abc"}, {"MsgId": ""}])
def test_an_odd_message_id_is_no_obstacle(account: Any, changes: dict[str, str]) -> None:
    xml = account.xml(**changes)
    assert account.said(account.post(xml)) == account.said(account.post(xml)) == "好的"
    account.post(account.xml(**changes, Content="another"))
    assert account.gateway.runs == 2


def test_a_message_left_to_the_next_one_is_acknowledged_bare(account: Any) -> None:
    account.gateway.reply = Reply("", "merged")
    response = account.post(account.xml(Content="还有"))
    assert (response.status_code, response.data) == (200, b"success")


def test_a_late_answer_goes_along_with_a_placeholder_but_not_with_that_of_the_word_that_fetches_it(
    make_account: Any,
) -> None:
    account = make_account(wechat_strategy="placeholder")
    account.gateway.reply = None
    late = LateReply(7, "t", "wechat", "default", OPENID, "营业时间", Reply("九点", "coze"), 0, {})
    account.gateway.leftovers.late = [late]
    assert "九点" not in account.said(account.post(account.xml(Content=" 继续 ")))
    assert account.gateway.leftovers.carried == {}
    assert "九点" in account.said(account.post(account.xml(Content="几号休息？")))
