"""The boundary every request passes: the capped body, the order of steps, the shape of errors."""

from __future__ import annotations

import gzip
import http.client
import io
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, Request, Response

from adapters.base import BODY_CAP, Adapter, Route, read_body
from errors import (
    ConfigurationError,
    Forbidden,
    PayloadTooLarge,
    Unauthorized,
    Unavailable,
    YingdaError,
)
from handler.message import InboundMessage
from handler.run import Follows
from sandbox.serve import Server
from settings import Settings
from tests.contract import FakeGateway, make_app

Step = Callable[..., Any]


class Plain(Adapter):
    """A platform whose steps a test replaces; it notes which ones ran."""

    name = "plain"

    def __init__(self, gateway: FakeGateway) -> None:
        super().__init__(gateway)
        self.steps: list[str] = []
        self.does: dict[str, Step] = {}

    def routes(self) -> Sequence[Route]:
        return (Route("/plain", ("POST",), self.receive, "Ask"),)

    def _step(self, name: str, *args: Any) -> Any:
        self.steps.append(name)
        return self.does[name](*args) if name in self.does else None

    def verify(self, request: Request, body: bytes) -> None:
        self._step("verify", request, body)

    def parse(self, request: Request, body: bytes) -> InboundMessage | Response:
        made = self._step("parse", request, body)
        return made or InboundMessage("plain", "default", "u1", dedupe_key="k1", text=f"{len(body)} bytes")

    def respond(self, message: InboundMessage, run: Follows) -> Response:
        reply = run.wait(1)
        assert reply is not None
        return self._step("respond", message, run) or Response(reply.text)

    def refuse(self, error: YingdaError) -> Response:
        self.steps.append("refuse")
        return Response(f"{error.code}|{error.message}", error.status)


@pytest.fixture
def app(make_settings: Callable[..., Settings]) -> Flask:
    return make_app(Plain, make_settings())


@pytest.fixture
def plain(app: Flask) -> Plain:
    adapter: Plain = app.extensions["adapter"]
    return adapter


def post(app: Flask, body: bytes = b"hi", **options: Any) -> tuple[int, str]:
    response = app.test_client().post("/plain", data=body, **options)
    return response.status_code, response.get_data(as_text=True)


def raising(problem: BaseException) -> Step:
    def step(*_args: object) -> None:
        raise problem

    return step


# --- the order of steps ------------------------------------------------------------------------------------


def test_a_message_is_verified_then_parsed_then_answered(app: Flask, plain: Plain) -> None:
    assert post(app) == (200, "answer to 2 bytes")
    assert plain.steps == ["verify", "parse", "respond"]


def test_nothing_of_a_refused_request_is_parsed(app: Flask, plain: Plain) -> None:
    plain.does["verify"] = raising(Forbidden("the signature does not fit"))
    assert post(app) == (403, "forbidden|the signature does not fit")
    assert plain.steps == ["verify", "refuse"]
    assert app.extensions["gateway"].exchanges == []


def test_a_parser_may_answer_by_itself(app: Flask, plain: Plain) -> None:
    plain.does["parse"] = lambda request, body: Response("pong")
    assert post(app) == (200, "pong")
    assert app.extensions["gateway"].exchanges == []


SURPRISES = [
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    KeyError("MsgType"),
    TypeError("expected str"),
    AttributeError("'NoneType' object has no attribute 'get'"),
    ValueError("secret detail"),
    struct.error("unpack requires a buffer of 4 bytes"),
    IndexError("list index out of range"),
    RecursionError("maximum recursion depth exceeded"),
    AssertionError(),
    MemoryError(),
    OSError("/etc/passwd"),
]


@pytest.mark.parametrize("surprise", SURPRISES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    ("step", "outcome"), [("parse", (400, "bad_request")), ("verify", (403, "forbidden"))]
)
def test_whatever_a_step_on_hostile_input_raises_is_the_caller_s_fault(
    app: Flask, plain: Plain, step: str, outcome: tuple[int, str], surprise: Exception
) -> None:
    plain.does[step] = raising(surprise)
    status, code = outcome
    assert post(app) == (status, f"{code}|malformed request")
    assert app.extensions["gateway"].exchanges == []


@pytest.mark.parametrize("step", ["verify", "parse"])
def test_a_typed_error_of_a_step_keeps_its_own_status(app: Flask, plain: Plain, step: str) -> None:
    plain.does[step] = raising(Unauthorized("no key"))
    assert post(app) == (401, "unauthorized|no key")


@pytest.mark.parametrize("surprise", SURPRISES, ids=lambda each: type(each).__name__)
def test_a_failure_inside_is_a_500_without_details(app: Flask, plain: Plain, surprise: Exception) -> None:
    app.extensions["gateway"].fails_with = surprise
    assert post(app) == (500, "internal|internal error")
    assert plain.steps == ["verify", "parse", "refuse"]


def test_a_failure_while_responding_is_a_500_without_details(app: Flask, plain: Plain) -> None:
    plain.does["respond"] = raising(ZeroDivisionError("secret detail"))
    assert post(app) == (500, "internal|internal error")


def test_a_part_that_is_away_says_so(app: Flask) -> None:
    app.extensions["gateway"].fails_with = Unavailable("come back later")
    assert post(app) == (503, "unavailable|come back later")


def test_the_program_s_own_end_is_not_swallowed(app: Flask, plain: Plain) -> None:
    plain.does["parse"] = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        post(app)


@pytest.mark.parametrize("step", ["verify", "parse"])
def test_settings_that_cannot_work_are_not_the_caller_s_fault(app: Flask, plain: Plain, step: str) -> None:
    plain.does[step] = raising(ConfigurationError("PLAIN_TOKEN is missing"))
    assert post(app) == (500, "internal|internal error")


def test_a_refusal_is_logged_once_without_body_and_headers(
    app: Flask, plain: Plain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "adapters")
    plain.does["verify"] = raising(Forbidden("the signature does not fit"))
    post(app, b"canary-body", headers={"X-Signature": "canary-header"})
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "refused")
    assert vars(record)["platform"] == "plain"
    assert "canary" not in repr(vars(record))


def test_a_malformed_message_is_logged_by_the_kind_of_surprise_only(
    app: Flask, plain: Plain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "adapters")
    plain.does["parse"] = raising(ValueError("canary"))
    post(app)
    (record,) = caplog.records
    assert vars(record)["surprise"] == "ValueError"
    assert "canary" not in repr(vars(record))


def test_a_failure_inside_is_logged_with_its_trace(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    app.extensions["gateway"].fails_with = RuntimeError("why")
    post(app)
    (record,) = [each for each in caplog.records if each.name == "adapters.base"]
    assert record.levelname == "ERROR"
    assert record.exc_info is not None


# --- the body, on a real socket ----------------------------------------------------------------------------


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with Server(app) as server:
        yield server.url


def send(url: str, framing: str, *pieces: bytes, hang_up: bool = False) -> tuple[int, str]:
    """Status and body for exactly these bytes; the pieces go out one by one."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        head = f"POST /plain HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n{framing}\r\n\r\n"
        connection.sendall(head.encode())
        for piece in pieces:
            connection.sendall(piece)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read().decode()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


TOO_LARGE = (413, f"payload_too_large|the body is larger than {BODY_CAP} bytes")
BROKEN = (400, "bad_request|the body ended early or is not framed correctly")


def test_a_body_of_exactly_the_cap_is_read_whole(url: str) -> None:
    body = b"x" * BODY_CAP
    assert send(url, f"Content-Length: {BODY_CAP}", body) == (200, f"answer to {BODY_CAP} bytes")


def test_a_chunked_body_of_exactly_the_cap_is_read_whole(url: str) -> None:
    sent = chunked(b"x" * 40_000, b"x" * (BODY_CAP - 40_000))
    assert send(url, "Transfer-Encoding: chunked", sent) == (200, f"answer to {BODY_CAP} bytes")


def test_a_body_in_many_small_pieces_is_read_whole(url: str) -> None:
    assert send(url, "Content-Length: 300", *[b"abc"] * 100) == (200, "answer to 300 bytes")


def test_one_byte_over_the_cap_is_refused_in_every_framing(url: str) -> None:
    over = b"x" * (BODY_CAP + 1)
    assert send(url, f"Content-Length: {len(over)}", over) == TOO_LARGE
    assert send(url, "Transfer-Encoding: chunked", chunked(over)) == TOO_LARGE
    assert send(url, "Transfer-Encoding: chunked", chunked(over[:9], over[9:])) == TOO_LARGE


def test_an_announcement_over_the_cap_is_refused_before_the_body_comes(url: str) -> None:
    assert send(url, "Content-Length: 10000000000") == TOO_LARGE


def test_an_endless_chunked_body_is_refused_at_the_cap(url: str) -> None:
    # no last chunk: a reader that wanted the end would wait for ever
    assert (
        send(url, "Transfer-Encoding: chunked", b"fffff\r\n" + b"x" * (BODY_CAP + 1), hang_up=True)
        == TOO_LARGE
    )


def test_a_chunked_body_with_a_lying_length_counts_by_its_chunks(url: str) -> None:
    framing = "Transfer-Encoding: chunked\r\nContent-Length: 2"
    assert send(url, framing, chunked(b"x" * (BODY_CAP + 1))) == TOO_LARGE


def test_a_body_shorter_than_announced_is_malformed(url: str) -> None:
    assert send(url, "Content-Length: 100", b"only this", hang_up=True) == BROKEN


@pytest.mark.parametrize("sent", [b"zz\r\nhi\r\n0\r\n\r\n", b"-5\r\nhi\r\n", b"5\r\nhi", b"\r\n\r\n", b""])
def test_broken_chunks_are_malformed(url: str, sent: bytes) -> None:
    assert send(url, "Transfer-Encoding: chunked", sent, hang_up=True) == BROKEN


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", "0x10"])
def test_a_length_that_is_no_number_reads_nothing(url: str, length: str) -> None:
    assert send(url, f"Content-Length: {length}", b"hi", hang_up=True) == (200, "answer to 0 bytes")


def test_a_compressed_body_is_not_unpacked(url: str) -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    assert len(bomb) < BODY_CAP
    status, text = send(url, f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}", bomb)
    assert (status, text) == (200, f"answer to {len(bomb)} bytes")


def test_a_stream_that_hands_out_little_at_a_time_is_read_whole() -> None:
    class Drip(io.RawIOBase):
        def __init__(self) -> None:
            self.left = 1000

        def read(self, size: int = -1) -> bytes:
            piece = min(7, self.left, size)
            self.left -= piece
            return b"x" * piece

    environ = {"wsgi.input": Drip(), "wsgi.input_terminated": True, "REQUEST_METHOD": "POST"}
    assert read_body(Request(environ)) == b"x" * 1000
    environ["wsgi.input"] = Drip()
    with pytest.raises(PayloadTooLarge):
        read_body(Request(environ), cap=999)


def test_many_bodies_at_once_do_not_mix(app: Flask, plain: Plain) -> None:
    plain.does["parse"] = lambda request, body: Response(body)
    results: dict[int, bytes] = {}

    def ask(number: int) -> None:
        body = bytes([number]) * 1000 * number
        results[number] = app.test_client().post("/plain", data=body).data

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == {number: bytes([number]) * 1000 * number for number in range(1, 21)}
