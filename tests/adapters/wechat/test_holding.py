"""Five seconds, three deliveries: on real sockets, with the seconds scaled down."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from adapters.wechat.strategy import Hold, Timing
from handler.message import Reply, Via
from handler.run import Progress, Run
from sandbox.serve import Server
from texts import Texts

LINK = '<a href="weixin://bizmsgmenu?msgmenucontent=继续&msgmenuid=1">获取答案</a>'
texts = Texts()


# the strategy alone


def run(attempt: int = 1, answer: str | None = None) -> tuple[Run, Progress]:
    progress = Progress()
    if answer is not None:
        progress.finish(Reply(answer, "coze"))
    return Run(1, "t", attempt, progress), progress


def wait_until_taken(hold: Hold) -> None:
    """Until no request finds a free place any more."""
    while hold.free:
        time.sleep(0.01)


def until(met: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_ready_answer_goes_out_at_once() -> None:
    outcome = Hold(Timing(0.7, 1.2), 1).follow(run(answer="好")[0], time.monotonic())
    assert outcome.reply is not None
    assert outcome.in_time


@pytest.mark.parametrize(("attempt", "way"), [(1, "passive"), (2, "passive"), (3, None)])
def test_before_the_last_delivery_an_answer_counts_as_given_when_it_is_recorded(
    attempt: int, way: str | None
) -> None:
    hold = Hold(Timing(50, 51), places=1)
    waiting, progress = run(attempt)
    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(hold.follow, waiting, time.monotonic())
        wait_until_taken(hold)
        until(lambda: progress.begin_recording() == way)
        progress.finish(Reply("好", "coze"), progress.begin_recording())
        assert followed.result().in_time
    assert waiting.given == way


def test_a_ready_answer_goes_out_at_once_although_every_place_is_taken() -> None:
    hold = Hold(Timing(50, 51), places=1)
    held, progress = run(attempt=3)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hold.follow, held, time.monotonic())
        wait_until_taken(hold)
        assert hold.follow(run(answer="好")[0], time.monotonic()).in_time
        assert hold.follow(run()[0], time.monotonic()).reply is None
        assert not waiting.done(), "it was waited for the place"
        progress.finish(Reply("久等", "coze"))
        assert waiting.result().reply == Reply("久等", "coze")


def test_a_place_is_given_back_whatever_happens() -> None:
    hold = Hold(Timing(0.01, 0.02), places=1)

    class Failing(Run):
        def wait(self, timeout: float | None, via: Via | None = None) -> Reply | None:
            if timeout:
                raise OSError("away")
            return None

    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            hold.follow(Failing(1, "t", 1, Progress()), time.monotonic())
    slow, progress = run()
    threading.Timer(0.05, progress.finish, [Reply("好", "coze")]).start()
    assert Hold(Timing(5, 6), places=1).follow(slow, time.monotonic()).in_time


@pytest.mark.slow
def test_an_answer_after_the_last_safe_moment_is_kept_for_the_next_delivery() -> None:
    hold = Hold(Timing(0.1, 0.4), places=1)
    slow, progress = run(attempt=1)
    threading.Timer(0.2, progress.finish, [Reply("好", "coze")]).start()
    begun = time.monotonic()
    outcome = hold.follow(slow, begun)
    assert time.monotonic() - begun >= 0.4
    assert outcome.reply is not None
    assert not outcome.in_time


@pytest.mark.parametrize("attempt", [1, 3])
def test_an_answer_whose_claim_took_too_long_does_not_count(attempt: int) -> None:
    outcome = Hold(Timing(0.1, 0.2), 1).follow(run(attempt, "好")[0], time.monotonic() - 1)
    assert outcome.reply is not None
    assert not outcome.in_time


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attempt", "patience", "held"), [(1, None, True), (2, None, True), (3, None, False), (1, 1, False)]
)
def test_only_the_last_delivery_gets_the_placeholder_in_time(
    attempt: int, patience: int | None, held: bool
) -> None:
    begun = time.monotonic()
    outcome = Hold(Timing(0.1, 0.5), 1).follow(run(attempt)[0], begun, patience)
    assert (time.monotonic() - begun >= 0.5) is held
    assert outcome.reply is None


# through WeChat's eyes


@pytest.mark.parametrize("mode", ["safe", "compatible", "plain"])
def test_wechat_accepts_handshake_answers_and_silence(open_wechat: Any, mode: str) -> None:
    gateway, wechat = open_wechat(mode)
    assert wechat.verify_url().ok
    assert not wechat.verify_url(bad_signature=True).ok
    for answer in ("你好！", "代码 a]]>b", "长" * 5000, "", "\x00"):
        gateway.reply = answer
        outcome = wechat.send_text("oFollower", "在吗")
        assert (outcome.notice, outcome.problem, len(outcome.bubbles)) == (False, "", 1)
    for event in ("LOCATION", "VIEW", "unsubscribe", "MASSSENDJOBFINISH", "kf_create_session"):
        assert not wechat.send_event("oFollower", event).bubbles
    assert wechat.send_event("oFollower", "subscribe").text == texts.welcome
    assert wechat.notices == 0


@pytest.mark.parametrize(("seconds", "tries"), [(0.3, 1), (0.85, 2), (1.3, 2), (2.2, 3)])
def test_an_answer_is_shown_once_whenever_it_comes(open_wechat: Any, seconds: float, tries: int) -> None:
    gateway, wechat = open_wechat()
    gateway.reply = None
    threading.Timer(seconds, gateway.finish, ["终于好了"]).start()
    outcome = wechat.send_text("oFollower", "很难的问题")
    assert [each.text for each in outcome.bubbles] == ["终于好了"]
    assert len(outcome.tries) <= tries
    assert gateway.runs == 1
    assert gateway.delivered == [(1, "passive")]
    assert not outcome.notice


def test_the_last_delivery_gets_a_link_and_the_answer_stays_undelivered(open_wechat: Any) -> None:
    gateway, wechat = open_wechat()
    gateway.reply = None
    outcome = wechat.send_text("oFollower", "特别难的问题")
    assert len(outcome.tries) == 3
    assert outcome.text == texts.thinking.format(fetch=LINK)
    assert not outcome.notice
    assert gateway.delivered == []
    assert gateway.runs == 1


def test_the_placeholder_strategy_answers_the_first_delivery(open_wechat: Any) -> None:
    gateway, wechat = open_wechat(wechat_strategy="placeholder")
    gateway.reply = None
    outcome = wechat.send_text("oFollower", "很难的问题")
    assert len(outcome.tries) == 1
    assert LINK in outcome.text


def test_two_retries_at_once_are_one_run_and_one_answer(open_wechat: Any) -> None:
    gateway, wechat = open_wechat()
    gateway.reply = None
    threading.Timer(0.3, gateway.finish, ["好"]).start()
    outcome = wechat.send_text("oFollower", "在吗", together=3)
    assert {each.decrypted for each in outcome.tries} == {outcome.tries[0].decrypted}
    assert gateway.runs == 1
    assert gateway.delivered == [(1, "passive")]


def test_above_the_cap_the_link_comes_at_once(open_wechat: Any) -> None:
    gateway, wechat = open_wechat(wechat_held_requests=2, timing=Timing(50, 51))
    wechat.patience = 55.0
    gateway.reply = None
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(wechat.send_text, f"oFollower{n}", "问题", tries=1) for n in range(2)]
        while len(gateway.held) < 2:
            time.sleep(0.01)
        outcome = wechat.send_text("oThird", "问题")
        assert LINK in outcome.text
        assert not any(each.done() for each in held), "it was waited for a place"
        gateway.finish("好")
        assert [each.result().text for each in held] == ["好", "好"]


def test_a_reader_that_hung_up_does_not_count_as_reached(open_wechat: Any) -> None:
    gateway, wechat = open_wechat(timing=Timing(answer_within=0.5, hold_until=1.2))
    gateway.reply = None
    threading.Timer(0.9, gateway.finish, ["好"]).start()
    message = {"msg_id": 5, "create_time": int(time.time()), "tries": 1}
    assert not wechat.send_text("oFollower", "问题", patience=0.6, **message).bubbles
    time.sleep(0.8)
    assert gateway.delivered == []
    assert wechat.send_text("oFollower", "问题", **message).text == "好"
    assert gateway.delivered == [(1, "passive")]


# bodies on the wire


@pytest.fixture
def wire(make_account: Callable[..., Any]) -> Iterator[tuple[Any, str]]:
    account = make_account("safe")
    with Server(account.app) as server:
        yield account, server.url


def chunks(body: bytes, size: int = 100) -> Iterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def test_a_chunked_body_is_read(wire: tuple[Any, str]) -> None:
    account, url = wire
    address, body = account.request(account.xml())
    response = requests.post(url + address, data=chunks(body), timeout=5)
    assert account.said(response) == "好的"


def test_an_endless_chunked_body_is_refused_before_its_end(wire: tuple[Any, str]) -> None:
    account, url = wire
    address, _ = account.request(account.xml())
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(
            f"POST {address} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(5):
            connection.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert b" 413 " in connection.recv(100)


def test_an_announced_oversize_is_refused_unread(wire: tuple[Any, str]) -> None:
    account, url = wire
    address, _ = account.request(account.xml())
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(f"POST {address} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode())
        assert b" 413 " in connection.recv(100)


def test_a_compressed_body_is_malformed(wire: tuple[Any, str]) -> None:
    account, url = wire
    address, body = account.request(account.xml())
    response = requests.post(
        url + address, data=gzip.compress(body), headers={"Content-Encoding": "gzip"}, timeout=5
    )
    assert response.status_code == 400
