"""Who may call the session service, and what a verifier that fails does to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from flask import Response

from adapters.sessions import verifier as verifying
from adapters.sessions.verifier import Verifier
from errors import ConfigurationError
from settings import Settings
from tests.adapters.sessions.conftest import (
    GOOD,
    FakeVerifier,
    ask,
    data_of,
    delete,
    error_of,
    headers,
    opened,
)
from tests.rig import Rig

PRODUCTION = {
    "app_env": "production",
    "agent_secret": "s" * 32,
    "api_keys": "shop:a-long-enough-secret-key:chat",
}
NEW = {"json": {"user_id": "a"}}


def test_a_newcomer_needs_no_token(rig: Rig) -> None:
    opened(rig)


def test_production_without_a_verifier_lets_nobody_in_but_to_health(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(**PRODUCTION)
    assert "SESSIONS_ALLOWED_HOSTS" in error_of(rig.post("/coze/sessions", **NEW), 403)["message"]
    error_of(rig.post("/coze/sessions", headers=headers(), **NEW), 403)
    data_of(rig.get("/coze/health"))


def test_auth_can_be_switched_off(
    open_rig: Callable[..., Rig], verifier: FakeVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONS_ALLOWED_HOSTS", "example.com")
    for more in ({}, PRODUCTION):
        opened(open_rig(enable_auth=False, **more))
    assert verifier.asked == []


def test_a_verified_caller_passes_and_its_verdict_is_believed_for_a_minute(
    guarded: Rig, verifier: FakeVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(guarded, headers=headers("shop.example.com"))
    ask(guarded, session, "你好", headers=headers("SHOP.example.com"))
    assert verifier.asked == [("admin.example.com", GOOD, "shop.example.com")]
    later = time.monotonic() + 61
    monkeypatch.setattr(verifying.time, "monotonic", lambda: later)
    guarded.get("/coze/admin/stats", headers=headers("shop.example.com"))
    assert len(verifier.asked) == 2


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"HtySudoerToken": GOOD},
        {"HtyHost": "example.com"},
        headers(token=""),
        headers(token="x" * 5000),
        headers(token="tok\ten"),
        headers(host=""),
        headers(host="example.com/evil"),
        headers(host="user@example.com"),
        headers(token="wrong"),
    ],
)
def test_who_is_not_verified_is_told_401_on_every_endpoint(guarded: Rig, given: dict[str, str]) -> None:
    calls = [
        guarded.post("/coze/sessions", headers=given, **NEW),
        guarded.get("/coze/sessions/x", headers=given),
        delete(guarded, "/coze/sessions/x", headers=given),
        guarded.post("/coze/sessions/x/messages", headers=given, json={"message": "hi"}),
        guarded.get("/coze/sessions/x/chats", headers=given),
        guarded.get("/coze/chats/x/result", headers=given),
        guarded.get("/coze/users/x/sessions", headers=given),
        guarded.post("/coze/admin/cleanup", headers=given),
        guarded.get("/coze/admin/stats", headers=given),
    ]
    for call in calls:
        assert error_of(call, 401)["code"] == "UNAUTHORIZED"
    data_of(guarded.get("/coze/health", headers=given))


@pytest.mark.parametrize(
    "host", ["evil-example.com", "example.com.evil", "localhost", "evilexample.com", "com", "example.com:80"]
)
def test_a_host_fits_whole_or_behind_a_dot(guarded: Rig, verifier: FakeVerifier, host: str) -> None:
    error_of(guarded.post("/coze/sessions", headers=headers(host), **NEW), 403)
    assert verifier.asked == []


def test_a_tenant_sees_nothing_of_another(guarded: Rig) -> None:
    ours, theirs = headers("a.example.com"), headers("other.example")
    session = opened(guarded, headers=ours)
    chat = ask(guarded, session, "我叫张三", headers=ours)
    for call in (
        guarded.get(f"/coze/sessions/{session}", headers=theirs),
        guarded.get(f"/coze/sessions/{session}/chats", headers=theirs),
        guarded.post(f"/coze/sessions/{session}/messages", headers=theirs, json={"message": "我叫什么？"}),
        delete(guarded, f"/coze/sessions/{session}", headers=theirs),
        guarded.get(f"/coze/chats/{chat['chat_id']}/result", headers=theirs),
    ):
        error_of(call, 404)
    assert data_of(guarded.get("/coze/users/user123/sessions", headers=theirs))["sessions"] == []
    assert data_of(guarded.get("/coze/admin/stats", headers=theirs))["total_sessions"] == 0
    assert data_of(guarded.get(f"/coze/sessions/{session}", headers=ours))["user_id"] == "user123"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Response('{"r": true}'), 200),
        (Response('{"r": "true"}'), 401),
        (Response('{"r": 1}'), 401),
        (Response("{}"), 401),
        (Response('{"r": true}', 401), 401),
        (Response('{"r": true}', 302, headers={"Location": "/elsewhere"}), 503),
        (Response('{"r": true}', 404), 503),
        (Response('{"r": true}', 500), 503),
        (Response("true"), 503),
        (Response("<html>"), 503),
        (Response(b"[" * 60_000), 503),
        (Response(b'{"r": true, "more": "' + b"x" * 70_000 + b'"}'), 503),
    ],
)
def test_only_r_true_is_a_yes(guarded: Rig, verifier: FakeVerifier, answer: Response, status: int) -> None:
    verifier.answer = lambda: answer
    assert guarded.post("/coze/sessions", headers=headers(), **NEW).status_code == status


def test_a_verifier_that_is_away_is_a_503_and_is_asked_again(guarded: Rig, verifier: FakeVerifier) -> None:
    verifier.answer = lambda: Response(status=500)
    error = error_of(guarded.post("/coze/sessions", headers=headers(), **NEW), 503)
    assert error["code"] == "UNAVAILABLE"
    data_of(guarded.get("/coze/health"))
    verifier.answer = None
    opened(guarded, headers=headers())


def test_nobody_listens_where_the_verifier_should_be(
    open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONS_ALLOWED_HOSTS", "example.com")
    monkeypatch.setenv("SESSIONS_VERIFIER_URL", "http://127.0.0.1:1/{host}")
    error_of(open_rig().post("/coze/sessions", headers=headers(), **NEW), 503)


def test_a_verifier_that_trickles_is_given_up(
    guarded: Rig, verifier: FakeVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trickle() -> Response:
        def bytes_one_by_one():  # type: ignore[no-untyped-def]
            for _ in range(600):
                time.sleep(0.05)
                yield b" "

        return Response(bytes_one_by_one())

    verifier.answer = trickle
    monkeypatch.setattr(verifying, "WHOLE_SECONDS", 0.3)
    began = time.monotonic()
    error_of(guarded.post("/coze/sessions", headers=headers(), **NEW), 503)
    assert time.monotonic() - began < 20


def test_the_memory_of_verdicts_is_bounded(verifier: FakeVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "VERDICTS", 2)
    known = Verifier(["example.com"], verifier.url + "/{host}/api/v1/uc/verify_jwt_token")
    for host in ("a.example.com", "b.example.com", "c.example.com", "a.example.com"):
        assert known.require(GOOD, host) == host
    assert len(known._verdicts) == 2
    assert len(verifier.asked) == 4


def test_no_token_is_in_a_log_or_an_answer(
    guarded: Rig, verifier: FakeVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = [guarded.post("/coze/sessions", headers=headers(token="secret-of-mine"), **NEW).text]
    verifier.answer = lambda: Response(status=500)
    texts.append(guarded.post("/coze/sessions", headers=headers(token="secret-of-mine-2"), **NEW).text)
    texts += [caplog.text, *(repr(vars(record)) for record in caplog.records if record.name != "urllib3")]
    assert not any("secret-of-mine" in each for each in texts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSIONS_ALLOWED_HOSTS", "*.example.com"),
        ("SESSIONS_ALLOWED_HOSTS", "https://example.com"),
        ("SESSIONS_VERIFIER_URL", "ftp://{host}/"),
        ("SESSIONS_VERIFIER_URL", "https://{host}/{token}"),
        ("SESSIONS_PER_USER", "0"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(
    open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        open_rig()


@pytest.mark.parametrize(
    ("mode", "base"), [("local", "http://localhost:5000/coze"), ("remote", "https://api.coze.cn")]
)
def test_the_mode_says_where_coze_is(make_settings: Callable[..., Settings], mode: str, base: str) -> None:
    settings = make_settings(app_mode=mode, coze_api_token="pat_of_a_real_bot")
    assert settings.coze_base == base
