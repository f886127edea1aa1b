"""What the client makes of refusals, and which calls it repeats."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from coze.client import CozeClient
from coze.errors import CodeError, CozeError, Disconnected, HttpError, Malformed
from coze.protocol import Named
from coze.records import Said
from sandbox.coze import LocalCoze
from tests.coze.calls import GOOD, ask, client_of, served, text_of
from tests.coze.wire import CLOSE, CLOSED, Wire, answer_json

pytestmark = pytest.mark.usefixtures("quick_retries")


# refusals


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/event-stream", None])
def test_a_json_refusal_is_found_whatever_it_is_called(kind: str | None) -> None:
    body = b'{"code":4000,"msg":"bad","detail":{"logid":"L1"}}'
    head = f"Content-Type: {kind}\r\n" if kind else ""
    with pytest.raises(CodeError) as caught:
        served(f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert (caught.value.name, caught.value.logid) == ("coze_4000", "L1")
    assert "bad" in caught.value.message


def test_the_logid_of_the_header_is_kept() -> None:
    with pytest.raises(CodeError) as caught:
        served(answer_json({"code": 5000, "msg": "x"}, headers="X-Tt-Logid: L2\r\n"))
    assert caught.value.logid == "L2"


PAGES = {
    "html": b"504 Gateway Time-out\r\nContent-Type: text/html\r\n\r\n<html>504" + b" " * 90_000,
    "text": b"400 Bad Request\r\nContent-Type: text/plain\r\n\r\nmissing required Host header",
    "half a body": b"500 Oops\r\nContent-Length: 99\r\n\r\nhalf",
    "no body": b"502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_what_is_no_json_is_an_http_error(page: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        served(b"HTTP/1.1 " + page)
    assert caught.value.name == f"coze_http_{page[:3].decode()}"
    assert len(caught.value.message) <= 200


def test_a_web_page_with_status_200_is_not_the_protocol() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>log in</html>"
    with pytest.raises(Malformed):
        served(page)


def test_retry_after_is_read() -> None:
    with pytest.raises(HttpError) as caught:
        served(answer_json({}, "429 Too Many Requests", "Retry-After: 7\r\n"))
    assert caught.value.retry_after == 7


def test_an_unstreamed_answer_names_the_chat(client: CozeClient, coze: LocalCoze) -> None:
    coze.faults.queue("created_status")
    (named,) = ask(client, stream=False)
    assert isinstance(named, Named)
    assert named.chat.status == "created"


def test_a_stream_where_none_was_asked_for_is_read(client: CozeClient, coze: LocalCoze) -> None:
    coze.faults.queue("sse_for_nonstream")
    assert text_of(ask(client, stream=False))


class Renewable:
    """Credentials that have a second token."""

    def __init__(self) -> None:
        self.tokens = ["pat_old", "pat_new"]
        self.asked: list[str | None] = []

    def token(self, session_name: str | None, *, deadline: float | None = None) -> str:
        self.asked.append(session_name)
        return self.tokens[0]

    def discard(self, session_name: str | None, token: str) -> bool:
        if token == "pat_old":
            self.tokens = ["pat_new"]
        return True


REFUSALS = [
    answer_json({"code": 4100, "msg": "authentication is invalid"}, "401 Unauthorized", CLOSE),
    answer_json({"code": 700012006, "msg": "x"}, headers=CLOSE),
    answer_json(b"no", "401 Unauthorized", CLOSE),
    answer_json({"code": 4101, "msg": "x"}, "403 Forbidden", CLOSE),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["4100", "700012006", "401", "4101"])
def test_a_refused_token_is_renewed_once(refusal: bytes) -> None:
    credentials = Renewable()
    with Wire([[refusal], [CLOSED, *GOOD], [refusal], [refusal]]) as wire:
        client = CozeClient(wire.url, credentials, read_timeout=2)
        with closing(client):
            assert text_of(ask(client, session_name="s1")) == "你好"
            with pytest.raises(CozeError):
                ask(client)
        assert [each.headers["authorization"] for each in wire.seen[:2]] == [
            "Bearer pat_old",
            "Bearer pat_new",
        ]
        assert len(wire.seen) == 4
        assert credentials.asked[:2] == ["s1", "s1"]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_personal_token_is_not_tried_twice(refusal: bytes) -> None:
    with Wire([[refusal], [refusal]]) as wire, closing(client_of(wire.url)) as client:
        with pytest.raises(CozeError):
            client.retrieve_chat("72", "71")
        assert len(wire.seen) == 1


def test_a_token_that_ends_between_two_calls_is_fetched_anew() -> None:
    credentials = Renewable()
    good = answer_json({"code": 0, "data": {"id": "71", "status": "completed"}}, headers=CLOSE)
    with Wire([[good], [REFUSALS[0]], [good]]) as wire, closing(CozeClient(wire.url, credentials)) as client:
        for _ in range(2):
            assert client.retrieve_chat("72", "71").status == "completed"


# repeating


def test_reading_is_repeated_after_a_lost_connection() -> None:
    good = answer_json({"code": 0, "data": []}, headers=CLOSE)
    with Wire([[], [good]]) as wire, closing(client_of(wire.url)) as client:
        assert client.list_messages("72", "71") == ()
        assert len(wire.seen) == 2


def test_writing_is_not_repeated_after_a_lost_connection() -> None:
    with Wire([[], []]) as wire, closing(client_of(wire.url)) as client:
        with pytest.raises(Disconnected):
            client.create_message("72", Said("您好", role="assistant"))
        assert len(wire.seen) == 1


def test_a_busy_coze_is_asked_again_a_few_times_only(client: CozeClient, coze: LocalCoze) -> None:
    for _ in range(10):
        coze.faults.queue("code", on="retrieve", code=4009)
    with pytest.raises(CodeError):
        client.retrieve_chat("72", "71")
    assert len(coze.requests) == 4


def test_retry_after_is_waited_for_or_the_call_given_up() -> None:
    busy = answer_json({}, "429 Too Many Requests", f"Retry-After: 30\r\n{CLOSE}")
    with Wire([[busy], [busy]]) as wire, closing(client_of(wire.url)) as client:
        with pytest.raises(HttpError):
            client.retrieve_chat("72", "71", deadline=time.monotonic() + 5)
        assert len(wire.seen) == 1
