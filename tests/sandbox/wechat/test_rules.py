"""Each rule by which WeChat shows the failure notice, against a callback that breaks it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Response, redirect

from sandbox.wechat import Rule

WRONG_REPLIES: list[tuple[Rule, Callable[[Any], Any]]] = [
    (Rule.STATUS, lambda a: Response(a.xml(), 500)),
    (Rule.STATUS, lambda a: Response("success", 403)),
    (Rule.STATUS, lambda a: redirect("/api/wechat/", 308)),
    (Rule.LEADING, lambda a: "\n" + a.xml()),
    (Rule.LEADING, lambda a: "\ufeff" + a.xml()),
    (Rule.QUOTED, lambda a: '"success"'),
    (Rule.JSON, lambda a: json.dumps({"code": 0})),
    (Rule.NOT_UTF8, lambda a: a.xml().encode("gbk")),
    (Rule.NOT_WELL_FORMED, lambda a: "success\n"),
    (Rule.NOT_WELL_FORMED, lambda a: "Success"),
    (Rule.NOT_WELL_FORMED, lambda a: a.xml()[:-3]),
    (Rule.NOT_WELL_FORMED, lambda a: a.xml(Content="X").replace("X", "a]]>b")),
    (Rule.NOT_WELL_FORMED, lambda a: a.xml(Content="\x1d")),
    (Rule.NOT_WELL_FORMED, lambda a: "<!DOCTYPE xml>" + a.xml()),
    (Rule.ROOT, lambda a: "<html><body>502</body></html>"),
    (Rule.REPEATED, lambda a: a.xml(MsgType=["text", "news"])),
    (Rule.ADDRESSES, lambda a: a.xml(ToUserName="gh_yingda_sandbox", FromUserName="oFollower")),
    (Rule.ADDRESSES, lambda a: a.xml(FromUserName="wx5a9db0c5a9db0c5a")),
    (Rule.ADDRESSES, lambda a: a.xml(drop="ToUserName")),
    (Rule.CREATE_TIME, lambda a: a.xml(CreateTime=time.time())),
    (Rule.CREATE_TIME, lambda a: a.xml(drop="CreateTime")),
    (Rule.CREATE_TIME, lambda a: a.xml(CreateTime=12)),
    (Rule.MILLISECONDS, lambda a: a.xml(CreateTime=int(time.time() * 1000))),
    (Rule.ECHO, lambda a: a.xml(MsgType="event", Event="subscribe")),
    (Rule.MSG_TYPE, lambda a: a.xml(MsgType="markdown")),
    (Rule.MSG_TYPE, lambda a: a.xml(drop="MsgType")),
    (Rule.EMPTY, lambda a: a.xml(Content="")),
    (Rule.EMPTY, lambda a: a.xml(Content=" \n")),
    (Rule.EMPTY, lambda a: a.xml(drop="Content")),
    (Rule.TOO_LONG, lambda a: a.xml(Content="字" * 683)),
    (Rule.MEDIA, lambda a: a.xml(MsgType="image", Image={"MediaId": ""})),
    (Rule.MEDIA, lambda a: a.xml(MsgType="music", Music={"Title": "歌"})),
    (Rule.ARTICLES, lambda a: a.xml(MsgType="news", ArticleCount=2, Articles={"item": {"Title": "一"}})),
    (Rule.ARTICLES, lambda a: a.xml(MsgType="news", ArticleCount=0, Articles="")),
    (
        Rule.TOO_MANY,
        lambda a: a.xml(MsgType="news", ArticleCount=2, Articles={"item": [{"Title": "一"}] * 2}),
    ),
]


@pytest.mark.parametrize(("rule", "answer"), WRONG_REPLIES)
def test_a_reply_that_breaks_a_rule_shows_the_notice(listen: Any, rule: Rule, answer: Any) -> None:
    wechat, _ = listen(answer)
    outcome = wechat.send_text("oFollower", "在吗")
    assert [each.rule for each in outcome.tries] == [rule]
    assert outcome.notice
    assert outcome.problem.startswith(str(rule))
    assert outcome.bubbles == wechat.inbox("oFollower") == []
    assert wechat.notices == 1
    assert wechat.shown_notices[0].problem == outcome.problem


def nothing(_: Any) -> str:
    return ""


@pytest.mark.parametrize("answer", [lambda a: "success", nothing])
def test_success_and_silence_show_nothing_and_end_the_tries(listen: Any, answer: Any) -> None:
    wechat, callback = listen(answer)
    outcome = wechat.send_text("oFollower", "在吗")
    assert (len(callback.arrived), outcome.bubbles, outcome.notice, outcome.problem) == (1, [], False, "")


@pytest.mark.parametrize(
    ("answer", "msg_type", "text"),
    [
        (lambda a: a.xml(Content="字" * 682), "text", "字" * 682),
        (lambda a: a.xml(Content="a]]>b<&"), "text", "a]]>b<&"),
        (lambda a: '<?xml version="1.0" encoding="UTF-8"?>\n' + a.xml() + "\n", "text", "您好"),
        (lambda a: a.xml(MsgType="image", Image={"MediaId": "m"}), "image", ""),
        (lambda a: a.xml(MsgType="voice", Voice={"MediaId": "m"}), "voice", ""),
        (lambda a: a.xml(MsgType="video", Video={"MediaId": "m"}), "video", ""),
        (lambda a: a.xml(MsgType="music", Music={"ThumbMediaId": "m"}), "music", ""),
        (lambda a: a.xml(MsgType="news", ArticleCount=1, Articles={"item": {"Title": "一"}}), "news", "一"),
        (lambda a: a.xml(MsgType="transfer_customer_service"), "transfer_customer_service", ""),
    ],
)
def test_a_right_reply_is_one_bubble(listen: Any, answer: Any, msg_type: str, text: str) -> None:
    wechat, _ = listen(answer)
    outcome = wechat.send_text("oFollower", "在吗")
    assert [(each.msg_type, each.text) for each in outcome.bubbles] == [(msg_type, text)]
    assert outcome.bubbles[0].fields["ToUserName"] == "oFollower"
    assert (outcome.text, outcome.notice, wechat.inbox("oFollower")) == (text, False, outcome.bubbles)


@pytest.mark.parametrize(
    "event",
    ["LOCATION", "VIEW", "unsubscribe", "TEMPLATESENDJOBFINISH", "kf_close_session", "view_miniprogram"],
)
def test_an_event_that_nobody_waits_on_takes_no_reply(listen: Any, event: str) -> None:
    wechat, _ = listen(lambda a: a.xml())
    assert wechat.send_event("oFollower", event).tries[0].rule is Rule.BACKGROUND
    quiet, _ = listen(lambda a: "success")
    assert not quiet.send_event("oFollower", event).notice


def test_a_follower_who_subscribes_is_welcomed(listen: Any) -> None:
    wechat, _ = listen(lambda a: a.xml(Content="欢迎"))
    assert wechat.send_event("oFollower", "subscribe").text == "欢迎"


def test_an_event_may_be_answered_with_eight_articles_and_no_more(listen: Any) -> None:
    def articles(count: int) -> Callable[[Any], str]:
        items = {"item": [{"Title": f"{number}"} for number in range(count)]}
        return lambda a: a.xml(MsgType="news", ArticleCount=count, Articles=items)

    eight, _ = listen(articles(8))
    assert not eight.send_event("oFollower", "CLICK", "menu").notice
    nine, _ = listen(articles(9))
    assert nine.send_event("oFollower", "CLICK", "menu").tries[0].rule is Rule.TOO_MANY


def test_an_event_cannot_be_transferred(listen: Any) -> None:
    wechat, _ = listen(lambda a: a.xml(MsgType="transfer_customer_service"))
    assert wechat.send_event("oFollower", "CLICK", "help").tries[0].rule is Rule.TRANSFER


class TestSafeMode:
    """Rules of the envelope."""

    @pytest.fixture
    def play(self, listen: Any) -> Callable[..., Any]:
        """`play(answer)` sends one text; `answer(arrived, callback)` makes the body."""

        def run(answer: Callable[[Any, Any], Any], mode: str = "safe") -> Any:
            made: list[Any] = []
            wechat, callback = listen(lambda arrived: answer(arrived, made[0]), mode=mode)
            made.append(callback)
            return wechat.send_text("oFollower", "在吗")

        return run

    @pytest.mark.parametrize("mode", ["safe", "compatible"])
    def test_an_encrypted_reply_is_read(self, play: Any, mode: str) -> None:
        outcome = play(lambda a, c: c.envelope(a.xml(Content="收到")), mode)
        assert (outcome.text, outcome.notice) == ("收到", False)
        assert outcome.tries[0].decrypted.startswith("<xml><ToUserName>")

    def test_bare_success_is_right(self, play: Any) -> None:
        outcome = play(lambda a, c: "success")
        assert (outcome.notice, outcome.bubbles) == (False, [])

    def test_a_plain_reply_is_refused(self, play: Any) -> None:
        assert play(lambda a, c: a.xml()).tries[0].rule is Rule.PLAINTEXT

    def test_a_plain_reply_is_read_in_compatible_mode(self, play: Any) -> None:
        assert play(lambda a, c: a.xml(Content="明文"), "compatible").text == "明文"

    def test_an_encrypted_reply_is_no_reply_in_plain_mode(self, play: Any) -> None:
        assert play(lambda a, c: c.envelope(a.xml()), "plain").tries[0].rule is Rule.ADDRESSES

    @pytest.mark.parametrize("nothing", ["success", ""])
    def test_success_must_not_be_encrypted(self, play: Any, nothing: str) -> None:
        assert play(lambda a, c: c.envelope(nothing)).tries[0].rule is Rule.ENCRYPTED_SUCCESS

    def test_a_wrong_signature_is_refused(self, play: Any) -> None:
        assert play(lambda a, c: c.envelope(a.xml(), signature="0" * 40)).tries[0].rule is Rule.SIGNATURE

    @pytest.mark.parametrize("name", ["MsgSignature", "TimeStamp", "Nonce"])
    def test_an_envelope_with_a_part_missing_is_refused(self, play: Any, name: str) -> None:
        answer = play(lambda a, c: c.envelope(a.xml()).replace(name, "Other"))
        assert answer.tries[0].rule is Rule.ENVELOPE

    def test_a_reply_sealed_for_another_account_is_refused(self, play: Any) -> None:
        def other(arrived: Any, callback: Any) -> str:
            right, callback.wechat.cipher._appid = callback.wechat.cipher._appid, b"wxother"
            try:
                return str(callback.envelope(arrived.xml()))
            finally:
                callback.wechat.cipher._appid = right

        outcome = play(other)
        assert outcome.tries[0].rule is Rule.UNDECIPHERABLE
        assert "another appid" in outcome.problem

    def test_the_rules_hold_inside_the_envelope_too(self, play: Any) -> None:
        assert play(lambda a, c: c.envelope(a.xml(Content=""))).tries[0].rule is Rule.EMPTY
