"""What every failure of a call means: refused for good, later, or in doubt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from adapters.wechat.client import OfficialApi
from errors import InDoubt, NotNow, Unavailable, Undeliverable, UpstreamError
from sandbox.wechat import LocalWeChat
from tests.adapters.wechat.api.conftest import OK, OPENID, QUICK, TOKEN, account
from tests.coze.wire import Hang, answer_json
from tests.gateway_double import FakeTokens

# a configuration that cannot work


@pytest.mark.parametrize(
    ("errcode", "fault", "words"),
    [
        (40164, lambda wechat: setattr(wechat, "ip_whitelist", {"192.0.2.1"}), "white list"),
        (40125, lambda wechat: setattr(wechat, "appsecret", "another"), "WECHAT_APPSECRET"),
        (40013, lambda wechat: setattr(wechat, "appid", "another"), "WECHAT_APPID"),
    ],
)
def test_a_configuration_fault_is_named_and_not_tried_again(
    api: OfficialApi,
    wechat: LocalWeChat,
    caplog: pytest.LogCaptureFixture,
    errcode: int,
    fault: Callable[[LocalWeChat], None],
    words: str,
) -> None:
    fault(wechat)
    with pytest.raises(Undeliverable, match=f"wechat_{errcode}: .*{words}") as caught:
        api.prepare()
    assert len(caught.value.message) <= 64
    assert wechat.tokens.fetches == 0
    (alarm,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert words in alarm.__dict__["mend"]


# what a failure means


@pytest.mark.parametrize(
    "errcode", [45015, 45047, 48001, 48002, 48004, 50005, 43004, 43019, 40003, 45002, 87014]
)
def test_a_refusal_for_good_is_undeliverable(api: OfficialApi, wechat: LocalWeChat, errcode: int) -> None:
    wechat.faults.send_errcodes = [errcode]
    with pytest.raises(Undeliverable, match=f"^wechat_{errcode}$"):
        api.custom_send(OPENID, "好")
    assert wechat.faults.send_errcodes == []


@pytest.mark.parametrize("errcode", [-1, 45011])
def test_a_busy_wechat_is_asked_later(api: OfficialApi, wechat: LocalWeChat, errcode: int) -> None:
    wechat.faults.send_errcodes = [errcode]
    with pytest.raises(NotNow, match=f"^wechat_{errcode}$"):
        api.custom_send(OPENID, "好")
    api.custom_send(OPENID, "好")
    assert len(wechat.inbox(OPENID)) == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answer_json(b"<html>502</html>", "502 Bad Gateway"), NotNow),
        (answer_json(b"", "500 Internal Server Error"), NotNow),
        (answer_json(b"", "429 Too Many Requests"), NotNow),
        (answer_json(b"<html>504</html>", "504 Gateway Time-out"), InDoubt),
        (answer_json(b"", "404 Not Found"), Undeliverable),
        (answer_json(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n"), Undeliverable),
        (answer_json(b"<html><h1>hello</h1></html>"), InDoubt),
        (answer_json(b""), InDoubt),
        (answer_json([1]), InDoubt),
        (answer_json({"errcode": {"x": 1}}), InDoubt),
        (answer_json({"errcode": "45047"}), Undeliverable),
        (answer_json(b"x" * 100_000), InDoubt),
        (OK[:-5], InDoubt),
        ([], InDoubt),
        ([Hang(1.6)], InDoubt),
        ([OK[:40], *([Hang(0.5), b" "] * 6)], InDoubt),
    ],
    ids=[
        "502",
        "500",
        "429",
        "504",
        "404",
        "redirect",
        "HTML",
        "empty",
        "not an object",
        "odd errcode",
        "errcode as text",
        "endless",
        "cut off",
        "hung up",
        "silence",
        "a trickle",
    ],
)
def test_how_a_call_ends_says_whether_it_was_done(
    scripted: Any, script: Any, kind: type[UpstreamError]
) -> None:
    api, wire = scripted(TOKEN, script, OK)
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        api.custom_send(OPENID, "好")
    assert type(caught.value) is kind
    assert len(wire.seen) == 2, "sent once, whatever came back"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "script", [answer_json(b"<html>"), [], [Hang(1.6)], answer_json({"expires_in": 7200})]
)
def test_without_a_token_nothing_is_sent_and_nothing_in_doubt(scripted: Any, script: Any) -> None:
    api, wire = scripted(script, OK)
    with pytest.raises(NotNow):
        api.custom_send(OPENID, "好")
    assert len(wire.seen) == 1


def test_a_wechat_that_is_not_there_is_asked_later() -> None:
    api = OfficialApi(account("http://127.0.0.1:9"), FakeTokens(), QUICK)
    with pytest.raises(NotNow, match="cannot be reached"):
        api.prepare()


def test_a_database_that_is_away_means_later(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api, wire = scripted(OK)

    def away(_: str) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(cast(FakeTokens, api._access._tokens), "get", away)
    with pytest.raises(NotNow):
        api.custom_send(OPENID, "好")
    assert wire.seen == []


def test_every_call_has_a_connection_of_its_own(scripted: Any) -> None:
    """A server that hangs up after each answer, without saying so before: a kept connection would be lost."""
    api, wire = scripted(TOKEN, OK, OK)
    api.custom_send(OPENID, "一")
    api.custom_send(OPENID, "二")
    assert len(wire.seen) == 3
