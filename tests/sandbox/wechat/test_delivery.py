"""Three tries, five seconds, fresh signatures, and the days on which things go otherwise."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from flask import Response, stream_with_context

from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, Rule
from sandbox.wechat.crypto import sign
from sandbox.wechat.documents import parse

SHORT = 0.25
"""Patience in seconds where a test lets it run out."""


class Slow:
    """Answers late until try number `until`."""

    def __init__(self, until: int, late: Any = None) -> None:
        self.until = until
        self.late = late
        self.over = threading.Event()

    def __call__(self, arrived: Any) -> Any:
        if arrived.number < self.until:
            if self.late is not None:
                return self.late()
            self.over.wait(SHORT * 3)
        return arrived.xml(Content=f"第{arrived.number}次")


def test_a_silent_gateway_is_asked_three_times_and_then_the_notice_is_shown(listen: Any) -> None:
    wechat, callback = listen(Slow(9), patience=SHORT)
    outcome = wechat.send_text("oFollower", "在吗")
    assert [each.rule for each in outcome.tries] == [Rule.LATE] * 3
    assert all(each.seconds >= SHORT and each.status is None for each in outcome.tries)
    assert (outcome.notice, wechat.notices, outcome.bubbles) == (True, 1, [])
    assert len(callback.arrived) == 3


@pytest.mark.parametrize("good", [1, 2, 3])
def test_the_first_answer_in_time_ends_the_tries(listen: Any, good: int) -> None:
    wechat, callback = listen(Slow(good), patience=SHORT)
    outcome = wechat.send_text("oFollower", "在吗")
    assert (outcome.text, outcome.notice, len(callback.arrived)) == (f"第{good}次", False, good)


def test_an_answer_that_trickles_past_the_limit_is_cut(listen: Any) -> None:
    def trickle() -> Response:
        def pieces() -> Any:
            for _ in range(20):
                time.sleep(SHORT / 5)
                yield "x"

        return Response(stream_with_context(pieces()))

    wechat, _ = listen(Slow(2, trickle), patience=SHORT)
    outcome = wechat.send_text("oFollower", "在吗")
    assert [each.rule for each in outcome.tries] == [Rule.LATE, None]


def test_a_connection_that_breaks_is_tried_again(listen: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        threading.Thread(target=lambda: dead.accept()[0].close(), daemon=True).start()
        broken = f"http://127.0.0.1:{dead.getsockname()[1]}/api/wechat"
        wechat, _ = listen(lambda arrived: arrived.xml(Content="好了"))
        outcome = wechat.send_text("oFollower", "在吗", callback_urls=[broken, wechat.callback_url])
    assert [each.rule for each in outcome.tries] == [Rule.LOST, None]
    assert (outcome.text, outcome.notice) == ("好了", False)


def test_a_body_that_ends_early_is_a_broken_connection() -> None:
    def half(server: socket.socket) -> None:
        for _ in range(3):
            peer = server.accept()[0]
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nsuccess")
            peer.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=half, args=(server,), daemon=True).start()
        wechat = LocalWeChat(f"http://127.0.0.1:{server.getsockname()[1]}/api/wechat", patience=5)
        outcome = wechat.send_text("oFollower", "在吗")
    assert [each.rule for each in outcome.tries] == [Rule.LOST] * 3


@pytest.mark.parametrize("mode", ["safe", "compatible", "plain"])
def test_every_try_is_the_same_message_with_a_fresh_signature(listen: Any, mode: str) -> None:
    wechat, callback = listen(Slow(9), patience=SHORT, mode=mode)
    wechat.send_text("oFollower", "在吗")
    assert len({each.push.value("MsgId") for each in callback.arrived}) == 1
    assert len({each.push.value("CreateTime") for each in callback.arrived}) == 1
    assert len({each.query["nonce"] for each in callback.arrived}) == 3
    assert len({each.query["signature"] for each in callback.arrived}) == 3
    assert len({each.body for each in callback.arrived}) == (1 if mode == "plain" else 3)


@pytest.mark.parametrize("mode", ["safe", "compatible", "plain"])
def test_the_wire_is_as_the_mode_says(listen: Any, mode: str) -> None:
    wechat, callback = listen(lambda arrived: "success", mode=mode)
    outcome = wechat.send_text("oFollower", "你好", msg_id=42)
    arrived, one = callback.arrived[0], outcome.tries[0]
    query, outside = arrived.query, parse(arrived.body)
    assert query["openid"] == "oFollower"
    assert query["signature"] == sign("yingda-sandbox", query["timestamp"], query["nonce"])
    assert len(query["timestamp"]) == 10
    assert 9 <= len(query["nonce"]) <= 10
    names = [each.name for each in outside.children]
    plain = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId"]
    assert names == {"safe": ["ToUserName"], "compatible": plain, "plain": plain}[mode] + (
        [] if mode == "plain" else ["Encrypt"]
    )
    if mode == "plain":
        assert "encrypt_type" not in query
    else:
        assert query["encrypt_type"] == "aes"
        sealed = outside.value("Encrypt")
        expected = sign("yingda-sandbox", query["timestamp"], query["nonce"], sealed)
        assert query["msg_signature"] == expected
        assert wechat.cipher.decrypt(sealed) == one.plaintext
    assert (one.body.decode(), arrived.push.value("MsgId"), outcome.msg_id) == (arrived.body, "42", "42")
    assert arrived.push.value("Content") == "你好"


def test_the_follower_may_type_anything(listen: Any) -> None:
    wechat, callback = listen(lambda arrived: "success", mode="safe")
    wechat.send_text("oFollower", "]]></Content><MsgType>event</MsgType> & <b>🌸</b>")
    assert callback.arrived[0].push.value("Content") == "]]></Content><MsgType>event</MsgType> & <b>🌸</b>"
    assert callback.arrived[0].push.value("MsgType") == "text"


def test_other_messages_and_events_carry_their_own_fields(listen: Any) -> None:
    wechat, callback = listen(lambda arrived: "success")
    wechat.send(
        "oFollower", "location", {"Location_X": 23.1, "Location_Y": 113.3, "Scale": 20, "Label": "广州"}
    )
    wechat.send_event("oFollower", "SCAN", "scene", {"Ticket": "t"})
    wechat.send_event(
        "oFollower", "pic_weixin", "6", {"PicList": {"item": [{"PicMd5Sum": "a"}, {"PicMd5Sum": "b"}]}}
    )
    place, scan, pictures = (each.push for each in callback.arrived)
    assert (place.value("Location_X"), place.value("Label")) == ("23.1", "广州")
    assert (scan.value("Event"), scan.value("EventKey"), scan.value("Ticket")) == ("SCAN", "scene", "t")
    assert scan.find("MsgId") is None
    assert pictures.plain()["PicList"] == {"item": [{"PicMd5Sum": "a"}, {"PicMd5Sum": "b"}]}  # type: ignore[index,call-overload]


def test_a_refused_answer_is_asked_for_again_only_where_that_is_chosen(listen: Any) -> None:
    def second_time(arrived: Any) -> Any:
        return Response("", 502) if arrived.number == 1 else arrived.xml(Content="好了")

    strict, first = listen(second_time)
    assert strict.send_text("oFollower", "在吗").notice
    assert len(first.arrived) == 1
    patient, second = listen(second_time, again_after_refusal=True)
    outcome = patient.send_text("oFollower", "在吗")
    assert (outcome.text, outcome.notice, len(second.arrived)) == ("好了", False, 2)


class TestKnobs:
    """The days on which things go otherwise."""

    def test_tries_can_run_side_by_side(self, listen: Any) -> None:
        meeting = threading.Barrier(3)

        def together(arrived: Any) -> str:
            meeting.wait(5)
            return str(arrived.xml(Content="一样"))

        wechat, callback = listen(together)
        outcome = wechat.send_text("oFollower", "在吗", together=3)
        assert (len(callback.arrived), len(outcome.tries), len(outcome.bubbles)) == (3, 3, 1)

    def test_a_push_can_come_again_after_its_answer(self, listen: Any) -> None:
        wechat, callback = listen(lambda arrived: arrived.xml())
        outcome = wechat.send_text("oFollower", "在吗", duplicate=2)
        assert len({each.push.value("MsgId") for each in callback.arrived}) == 1
        assert (len(callback.arrived), len(outcome.bubbles), outcome.notice) == (3, 1, False)

    def test_a_broken_answer_to_the_duplicate_is_noticed(self, listen: Any) -> None:
        wechat, _ = listen(lambda arrived: arrived.xml() if arrived.number == 1 else "{}")
        outcome = wechat.send_text("oFollower", "在吗", duplicate=1)
        assert (outcome.notice, len(outcome.bubbles)) == (True, 1)

    def test_the_first_try_can_be_late(self, listen: Any) -> None:
        wechat, callback = listen(lambda arrived: "success")
        started = time.monotonic()
        wechat.send_text("oFollower", "在吗", delay=0.2)
        assert callback.arrived[0].at - started >= 0.2

    def test_two_events_can_share_a_second_and_two_users_an_id(self, listen: Any) -> None:
        wechat, callback = listen(lambda arrived: "success")
        wechat.send_event("oFollower", "subscribe", create_time=1714036504)
        wechat.send_event("oFollower", "SCAN", "scene", create_time=1714036504)
        wechat.send_text("oFirst", "一", msg_id=7)
        wechat.send_text("oSecond", "二", msg_id=7)
        assert [each.push.value("CreateTime") for each in callback.arrived[:2]] == ["1714036504"] * 2
        assert [each.push.value("MsgId") for each in callback.arrived[2:]] == ["7", "7"]

    def test_the_clock_can_be_wrong(self, listen: Any) -> None:
        wechat, callback = listen(lambda arrived: "success")
        wechat.send_text("oFollower", "在吗", skew=-900)
        assert abs(int(callback.arrived[0].query["timestamp"]) - (time.time() - 900)) < 10

    @pytest.mark.parametrize("mode", ["safe", "plain"])
    def test_the_signature_can_be_wrong(self, listen: Any, mode: str) -> None:
        wechat, callback = listen(lambda arrived: Response("", 403), mode=mode)
        outcome = wechat.send_text("oFollower", "在吗", bad_signature=True)
        query = callback.arrived[0].query
        assert query["signature"] != sign("yingda-sandbox", query["timestamp"], query["nonce"])
        assert outcome.tries[0].rule is Rule.STATUS

    def test_each_try_can_reach_another_process(self, listen: Any) -> None:
        wechat, first = listen(Slow(9), patience=SHORT)
        _, second = listen(lambda arrived: arrived.xml(Content="另一个进程"))
        second.wechat = wechat
        with Server(second.app) as other:
            urls = [wechat.callback_url, f"{other.url}/api/wechat"]
            outcome = wechat.send_text("oFollower", "在吗", callback_urls=urls)
        assert (len(first.arrived), len(second.arrived), outcome.text) == (1, 1, "另一个进程")


class TestHandshake:
    """The console's GET."""

    def test_the_echo_must_come_back_as_it_went(self, listen: Any) -> None:
        wechat, _ = listen(lambda arrived: Response(arrived.query["echostr"], mimetype="text/plain"))
        verification = wechat.verify_url("<echo>&1")
        assert verification == (200, "<echo>&1", True)

    @pytest.mark.parametrize("wrong", ['"{}"', "{}\n", "&#39;", ""])
    def test_anything_else_is_a_failure(self, listen: Any, wrong: str) -> None:
        wechat, _ = listen(lambda arrived: Response(wrong.format(arrived.query["echostr"])))
        assert not wechat.verify_url().ok

    def test_it_is_signed_and_can_be_signed_wrongly(self, listen: Any) -> None:
        def check(arrived: Any) -> Response:
            query = arrived.query
            good = query["signature"] == sign("yingda-sandbox", query["timestamp"], query["nonce"])
            return Response(query["echostr"]) if good else Response("", 403)

        wechat, _ = listen(check)
        assert wechat.verify_url().ok
        assert wechat.verify_url(bad_signature=True) == (403, "", False)
