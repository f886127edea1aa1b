"""Tokens: what is signed, what is kept, when it is renewed, and what happens when none can be had."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from coze import auth
from coze.auth import PersonalToken, ServiceApp, load_key, make_credentials
from coze.errors import AuthError, CozeError, Malformed, TimedOut
from coze.transport import Transport
from errors import ConfigurationError
from sandbox.coze import LocalCoze, create_app
from sandbox.serve import Server
from settings import Settings
from tests.coze.wire import Hang, Wire, answer_json

KEY = rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY, form: str = "PKCS8") -> str:
    kind = getattr(serialization.PrivateFormat, form)
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


PUBLIC = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture
def coze() -> LocalCoze:
    coze = LocalCoze()
    coze.register_app("app1", "kid1", PUBLIC.decode())
    return coze


@pytest.fixture
def app(coze: LocalCoze) -> Iterator[ServiceApp]:
    with Server(create_app(coze)) as server:
        yield ServiceApp(Transport(server.url, 1, 2), "app1", "kid1", KEY)


def granted(token: str = "czs_one", expires_in: float | None = None) -> bytes:
    moment = int(time.time()) + 900 if expires_in is None else expires_in
    return answer_json({"access_token": token, "expires_in": moment}, headers="Connection: close\r\n")


def claims_of(bearer: str) -> dict[str, object]:
    return jwt.decode(bearer.removeprefix("Bearer "), options={"verify_signature": False})


def service(url: str) -> ServiceApp:
    return ServiceApp(Transport(url, 1, 0.3), "app1", "kid1", KEY)


def test_the_jwt_says_who_asks_and_for_whom(app: ServiceApp, coze: LocalCoze) -> None:
    token = app.token("yd_1")
    (request,) = coze.requests
    claims = claims_of(request.headers["Authorization"])
    assert token.startswith("czs_")
    assert (claims["iss"], claims["session_name"]) == ("app1", "yd_1")
    assert str(claims["aud"]).startswith("127.0.0.1:")
    assert claims["exp"] - claims["iat"] == 600  # type: ignore[operator]
    assert len(str(claims["jti"])) > 32
    header = jwt.get_unverified_header(request.headers["Authorization"].removeprefix("Bearer "))
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "kid1"}


def test_without_a_session_the_claim_is_left_out(app: ServiceApp, coze: LocalCoze) -> None:
    app.token(None)
    assert "session_name" not in claims_of(coze.requests[0].headers["Authorization"])


def test_a_token_is_kept_per_session_name(app: ServiceApp, coze: LocalCoze) -> None:
    first, again, other = app.token("a"), app.token("a"), app.token("b")
    assert first == again != other
    assert len(coze.requests) == 2


def test_no_jwt_is_sent_twice(app: ServiceApp, coze: LocalCoze) -> None:
    coze.faults.queue("token_error", error_code="internal_error", status=500)
    app.token("a")
    first, second = (claims_of(each.headers["Authorization"])["jti"] for each in coze.requests)
    assert first != second


def test_a_lost_connection_is_tried_once_more_with_a_new_jwt() -> None:
    with Wire([[], [granted()]]) as wire:
        assert service(wire.url).token(None) == "czs_one"
        first, second = (claims_of(each.headers["authorization"])["jti"] for each in wire.seen)
        assert first != second


def test_two_failures_are_enough() -> None:
    with Wire([[], []]) as wire:
        with pytest.raises(CozeError):
            service(wire.url).token(None)
        assert len(wire.seen) == 2


@pytest.mark.parametrize(
    ("life", "kept"), [(-10, False), (1, True), (900, True)], ids=["past", "short", "usual"]
)
def test_expires_in_is_a_moment_and_no_duration(life: float, kept: bool) -> None:
    with Wire([[granted("czs_one", int(time.time()) + life + 1)], [granted("czs_two")]]) as wire:
        app = service(wire.url)
        assert app.token(None) == "czs_one"
        assert app.token(None) == ("czs_one" if kept else "czs_two")


def test_a_small_expires_in_is_a_moment_long_ago() -> None:
    with Wire([[granted("czs_one", 900)], [granted("czs_two")]]) as wire:
        app = service(wire.url)
        assert [app.token(None), app.token(None)] == ["czs_one", "czs_two"]


def test_a_token_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    with Wire([[granted("czs_one", now + 900)], [granted("czs_two", now + 1800)]]) as wire:
        app = service(wire.url)
        app.token(None)
        monkeypatch.setattr(auth.time, "time", lambda: now + 800)
        assert app.token(None) == "czs_one"
        monkeypatch.setattr(auth.time, "time", lambda: now + 815)
        assert app.token(None) == "czs_two"


def test_many_threads_wait_for_one_token(app: ServiceApp, coze: LocalCoze) -> None:
    coze.faults.queue("token_slow", seconds=0.2)
    with ThreadPoolExecutor(20) as pool:
        tokens = set(pool.map(app.token, ["same"] * 20))
    assert len(tokens) == len(coze.requests) == 1


def test_many_threads_share_one_failure() -> None:
    refusal = answer_json({"error_code": "invalid_client"}, "401 Unauthorized", "Connection: close\r\n")
    with Wire([[Hang(0.15), refusal]]) as wire:
        app = service(wire.url)
        with ThreadPoolExecutor(10) as pool:
            results = list(pool.map(partial(failure_of, app), range(10)))
        assert set(results) == {"coze_auth_invalid_client"}
        assert len(wire.seen) == 1


def failure_of(app: ServiceApp, _number: int) -> str:
    try:
        return app.token("same")
    except CozeError as error:
        return error.name


def test_another_session_is_not_held_up(app: ServiceApp, coze: LocalCoze) -> None:
    coze.faults.queue("token_slow", seconds=1)
    slow = threading.Thread(target=app.token, args=("slow",))
    slow.start()
    while not coze.requests:
        time.sleep(0.005)
    app.token("quick")
    assert slow.is_alive()
    slow.join()


def test_a_waiter_goes_when_its_own_deadline_comes(app: ServiceApp, coze: LocalCoze) -> None:
    coze.faults.queue("token_slow", seconds=1)
    slow = threading.Thread(target=app.token, args=("same",))
    slow.start()
    while not coze.requests:
        time.sleep(0.005)
    with pytest.raises(TimedOut):
        app.token("same", deadline=time.monotonic() + 0.05)
    slow.join()


def test_a_discarded_token_is_replaced_once(app: ServiceApp, coze: LocalCoze) -> None:
    old = app.token("a")
    assert app.discard("a", old)
    new = app.token("a")
    assert new != old
    # a second thread that was refused with the old token must not throw the new one away
    assert app.discard("a", old)
    assert app.token("a") == new


def test_the_cache_is_bounded(app: ServiceApp, coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "CACHED", 2)
    first = app.token("a")
    app.token("b")
    assert app.token("a") == first
    app.token("c")
    assert app.token("a") == first
    app.token("b")
    assert len(coze.requests) == 4


@pytest.mark.parametrize(
    ("fault", "params", "cause"),
    [
        ("token_error", {"error_code": "invalid_client"}, "coze_auth_invalid_client"),
        ("token_error", {"error_code": "access_deny", "status": 200}, "coze_auth_access_deny"),
        ("token_html", {}, "coze_auth_http_502"),
        ("token_empty", {}, "coze_auth_http_200"),
    ],
)
def test_a_refusal_names_its_reason(
    app: ServiceApp, coze: LocalCoze, fault: str, params: dict[str, object], cause: str
) -> None:
    coze.faults.queue(fault, **params)
    with pytest.raises(AuthError) as caught:
        app.token(None)
    assert caught.value.name == cause
    assert "COZE_API_BASE" in caught.value.hint
    assert "eyJ" not in str(caught.value)


def test_an_unknown_key_is_refused_by_coze(coze: LocalCoze) -> None:
    with Server(create_app(coze)) as server, pytest.raises(AuthError):
        ServiceApp(Transport(server.url), "app1", "other", KEY).token(None)


def test_a_token_that_could_break_a_header_is_no_token() -> None:
    answer = json.dumps({"access_token": "czs_a\r\nX: y", "expires_in": time.time() + 900}).encode()
    with Wire([[answer_json(answer)]]) as wire, pytest.raises(AuthError):
        service(wire.url).token(None)


def test_a_silent_token_endpoint_is_given_up() -> None:
    with Wire([[Hang(5)], [Hang(5)]]) as wire, pytest.raises(TimedOut):
        service(wire.url).token(None, deadline=time.monotonic() + 0.5)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_keys_are_read_in_both_forms_and_with_written_line_breaks(form: str) -> None:
    text = pem(form=form)
    for each in (text, text.replace("\n", "\\n"), f"\n {text} "):
        assert load_key(each).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize("text", ["", "secret words", pem(ec.generate_private_key(ec.SECP256R1()))])
def test_what_is_no_rsa_key_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_key(text)
    assert "secret words" not in str(caught.value)


def test_a_personal_token_stays_what_it_is(make_settings: Callable[..., Settings]) -> None:
    credentials = make_credentials(make_settings(coze_api_token=" pat_mine\n"))
    assert credentials.token("any") == credentials.token(None) == "pat_mine"
    assert not credentials.discard(None, "pat_mine")


@pytest.mark.parametrize("token", ["pat_a\nb", "pat_a b", "pat_é", "pat_\x7f"])
def test_a_personal_token_that_cannot_be_one_stops_the_start(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PersonalToken(token)
    assert token not in str(caught.value)


def test_the_settings_choose_the_credentials(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(pem())
    oauth = {
        "coze_auth_mode": "OAUTH_JWT",
        "coze_oauth_client_id": "app1",
        "coze_oauth_public_key_id": "kid1",
    }
    for key in (
        {"coze_oauth_private_key": pem().replace("\n", "\\n")},
        {"coze_oauth_private_key_file": path},
    ):
        assert isinstance(make_credentials(make_settings(**oauth, **key)), ServiceApp)
    for key in ({}, {"coze_oauth_private_key_file": tmp_path / "none.pem"}):
        with pytest.raises(ConfigurationError):
            make_credentials(make_settings(**oauth, **key))


def test_no_credential_can_be_read_off_its_repr() -> None:
    assert "pat_mine" not in repr(PersonalToken("pat_mine"))


def test_a_token_is_never_quoted_when_a_request_cannot_be_made() -> None:
    with Wire([]) as wire, pytest.raises(Malformed) as caught:
        Transport(wire.url).send("GET", "/v3", "pat_secret\n", deadline=time.monotonic() + 1)
    assert "secret" not in str(caught.value)
