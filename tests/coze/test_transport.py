"""Connections that are kept: used again while they are good, and never trusted when they are not."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import certifi
import pytest
from urllib3.exceptions import ConnectTimeoutError

from coze.connections import Plain
from coze.errors import CozeError, Disconnected, Malformed, TimedOut, Unreachable
from coze.transport import Transport
from tests.coze.wire import (
    CHUNKED,
    CLOSED,
    END,
    HEAD,
    NEXT,
    Hang,
    SecureWire,
    Wire,
    answer_json,
    chunk,
    settled,
)

OK = answer_json({"code": 0})


def ask(transport: Transport) -> bytes:
    with transport.send("POST", "/v3/chat", "pat_x", json={"q": 1}) as incoming:
        return incoming.body()


def test_a_good_connection_is_used_again() -> None:
    with Wire([[OK, NEXT, OK, NEXT, OK]]) as wire:
        transport = Transport(wire.url)
        for _ in range(3):
            assert ask(transport) == b'{"code": 0}'
        transport.close()
    assert len(wire.seen) == 3


@pytest.mark.parametrize("body", [None, {"q": "居住证"}])
def test_a_request_leaves_in_one_piece(body: object, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    send = socket.socket.sendall
    monkeypatch.setattr(
        socket.socket, "sendall", lambda self, data, *flags: (sent.append(bytes(data)), send(self, data))[1]
    )
    with Wire([[OK]]) as wire, closing(Transport(wire.url)) as transport:
        with transport.send("POST" if body else "GET", "/v3/chat", "token", json=body) as incoming:
            assert incoming.status == 200
    ours = [each for each in sent if b"/v3/chat" in each]
    assert len(ours) == 1
    assert ours[0].endswith("居住证".encode() + b'"}' if body else b"\r\n\r\n")


def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    with Wire([[OK], [OK], [OK]]) as wire:
        transport = Transport(wire.url)
        for number in (1, 2, 3):
            assert ask(transport) == b'{"code": 0}'
            # the script is over: the server closes, and nobody here reads that
            time.sleep(0.05)
            assert len(wire.seen) == number, "each question arrives once"
        transport.close()


def test_a_connection_with_something_on_it_is_not_used() -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with Wire([[OK, Hang(0.02), late, Hang(0.3)], [OK]]) as wire:
        transport = Transport(wire.url)
        ask(transport)
        time.sleep(0.1)
        assert ask(transport) == b'{"code": 0}', "and not the 408 that nobody asked for"
        transport.close()
    assert len(wire.seen) == 2


def test_a_connection_that_closes_under_the_question_is_told_apart() -> None:
    """Too late for any check: it may have arrived, so whoever asked must decide."""
    with Wire([[OK, NEXT], [OK]]) as wire:
        transport = Transport(wire.url)
        ask(transport)
        with pytest.raises(Disconnected):
            ask(transport)
        assert ask(transport) == b'{"code": 0}'
        transport.close()
    assert len(wire.seen) == 3


def test_an_unfinished_body_takes_its_connection_along() -> None:
    # the server reads on until we close, and only then takes the next connection
    with Wire([[CHUNKED, chunk(b"a"), NEXT], [OK]]) as wire:
        transport = Transport(wire.url)
        with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
            assert incoming.read() == b"a"
        assert ask(transport) == b'{"code": 0}'
        transport.close()


def test_closing_ends_what_is_idle_and_a_later_call_connects_anew() -> None:
    with Wire([[OK, NEXT], [OK]]) as wire:
        transport = Transport(wire.url)
        ask(transport)
        transport.close()
        assert settled(lambda: len(wire.seen) == 2), "the server has read our end"
        assert ask(transport) == b'{"code": 0}'
        transport.close()


def test_closing_does_not_disturb_an_answer_that_is_being_read() -> None:
    with Wire([[CHUNKED, chunk(b"a"), Hang(0.05), chunk(b"b"), b"0\r\n\r\n"]]) as wire:
        transport = Transport(wire.url)
        with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
            transport.close()
            assert incoming.body() == b"ab"


def test_the_base_may_have_a_path() -> None:
    with Wire([[OK]]) as wire:
        transport = Transport(f"{wire.url}/über/v1/")
        transport.send("GET", "/chat", "pat_x", query={"q": "a b&c"}).close()
        transport.close()
    assert wire.seen[0].line == "GET /%C3%BCber/v1/chat?q=a+b%26c HTTP/1.1"
    assert "content-length" not in wire.seen[0].headers


@pytest.mark.parametrize("base", ["", "api.coze.cn", "https://", "https://a b", "https://a:b"])
def test_a_base_without_a_host_is_refused_at_once(base: str) -> None:
    with pytest.raises(ValueError):
        Transport(base)


def test_another_protocol_is_never_spoken() -> None:
    with pytest.raises(Malformed):
        ask(Transport("ftp://localhost"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([], Disconnected),
        ([b"SSH-2.0\r\n"], Disconnected),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"], Malformed),
        ([Hang(1)], TimedOut),
    ],
    ids=["nothing", "no HTTP", "two lengths", "silence"],
)
def test_what_is_no_answer_is_told_apart(answer: list[bytes | Hang], error: type[CozeError]) -> None:
    with Wire([answer]) as wire:
        transport = Transport(wire.url, read_timeout=0.2)
        with pytest.raises(error):
            ask(transport)
        transport.close()


@pytest.mark.parametrize(("seconds", "error"), [(30, Unreachable), (0.02, TimedOut)])
def test_no_connection_is_a_matter_of_time_once_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, seconds: float, error: type[CozeError]
) -> None:
    def far_away(connection: Plain) -> None:
        time.sleep(0.03)
        raise ConnectTimeoutError("too far")

    monkeypatch.setattr(Plain, "connect", far_away)
    with pytest.raises(error, match="no connection"):
        Transport("http://localhost").send("GET", "/", "pat_x", deadline=time.monotonic() + seconds)


def test_a_redirect_is_an_answer_like_any_other_wherever_it_points() -> None:
    with Wire([[answer_json({"msg": "moved"}, "302 Found", "Location: http://\r\n")]]) as wire:
        transport = Transport(wire.url)
        with transport.send("GET", "/", "pat_x") as incoming:
            assert (incoming.status, incoming.body()) == (302, b'{"msg": "moved"}')
        transport.close()


def test_a_known_authority_is_believed_for_the_host_it_names(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    with SecureWire(certificate, [OK]) as wire:
        transport = Transport(wire.address)
        assert ask(transport) == b'{"code": 0}'
        transport.close()
    with SecureWire(certificate, [OK]) as wire, pytest.raises(Unreachable):
        ask(Transport(wire.url.replace("http:", "https:")))
    assert not wire.seen


def test_an_authority_that_only_the_environment_names_is_not_believed(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(certificate))
    with SecureWire(certificate, [OK]) as wire, pytest.raises(Unreachable):
        ask(Transport(wire.address))
    assert not wire.seen, "the token stays here"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "begun",
    [CHUNKED + chunk(b"a"), CLOSED + b"a", HEAD + b"Content-Length: 9\r\n\r\na"],
    ids=["chunked", "until closed", "of known length"],
)
def test_a_long_silence_has_an_end(
    begun: bytes, tls: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    script: list[bytes | Hang] = [begun, Hang(5)]
    with SecureWire(certificate, script) if tls else Wire([script]) as wire:
        transport = Transport(wire.address, read_timeout=1.1)
        with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
            assert incoming.read() == b"a"
            began = time.monotonic()
            with pytest.raises(TimedOut):
                incoming.read()
            assert 1.0 <= time.monotonic() - began < 4
        transport.close()


def test_a_long_wait_that_is_not_silent_goes_on() -> None:
    script: list[bytes | Hang] = [CHUNKED]
    for _ in range(3):
        script += [chunk(b"a"), Hang(0.7)]
    with Wire([[*script, END]]) as wire:
        transport = Transport(wire.url, read_timeout=1.1)
        with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
            assert incoming.body() == b"aaa"
        transport.close()


def test_without_a_thread_nothing_is_read_unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    real = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "watch":
            raise RuntimeError("can't start new thread")
        real(thread)

    with Wire([[OK], [OK]]) as wire:
        transport = Transport(wire.url)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(Unreachable):
                ask(transport)
        assert ask(transport) == b'{"code": 0}'
        transport.close()
