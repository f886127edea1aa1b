"""The client reads streams, on real sockets: their framing, and where they break off."""

from __future__ import annotations

import json
import time
from contextlib import closing

import pytest

from coze.errors import CozeError, Disconnected, TimedOut, Truncated, Unreachable
from coze.protocol import Done, Ended, Failed, Message, Named, Whole
from coze.records import Said
from tests.coze.calls import BOT, GOOD, ask, chunked, client_of, served, text_of
from tests.coze.wire import (
    CHUNKED,
    CLOSED,
    COMPLETED,
    CREATED,
    DONE,
    END,
    Hang,
    Wire,
    chunk,
    delta,
    event,
    whole,
)

pytestmark = pytest.mark.usefixtures("quick_retries")


# framing


@pytest.mark.parametrize("head", [CHUNKED, CLOSED], ids=["chunked", "close-delimited"])
def test_each_piece_is_there_at_once(head: bytes) -> None:
    wrap = chunk if head is CHUNKED else bytes
    with (
        Wire([[head, wrap(CREATED), wrap(delta("你")), Hang(40)]]) as wire,
        closing(client_of(wire.url, 30)) as client,
    ):
        started = time.monotonic()
        with client.chat(BOT, "u", [Said("x")]) as stream:
            first, second = (next(each) for each in [iter(stream)] * 2)
        assert isinstance(first, Named)
        assert isinstance(second, Message)
        assert time.monotonic() - started < 20


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_other_line_ends_and_cuts_within_them(ending: bytes) -> None:
    body = b"".join(GOOD).replace(b"\n", ending)
    events, _ = served(*chunked(*(body[at : at + 7] for at in range(0, len(body), 7))))
    assert text_of(events) == "你好"


def test_characters_cut_over_two_chunks() -> None:
    body = b"".join(GOOD)
    events, _ = served(*chunked(*(body[at : at + 1] for at in range(len(body)))))
    assert text_of(events) == "你好"


def test_a_missing_content_type_is_no_obstacle() -> None:
    events, _ = served(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", *GOOD)
    assert text_of(events) == "你好"


def test_a_stream_announced_as_json_is_a_stream() -> None:
    events, _ = served(CLOSED.replace(b"text/event-stream", b"application/json"), *GOOD)
    assert text_of(events) == "你好"


def test_events_without_news_unknown_names_and_bad_data_are_passed_over() -> None:
    odd = event("PING", {"content": "{}"}) + b": keep-alive\n\n" + event("conversation.new", "x")
    bad = event("conversation.message.delta", '{"content":') + b"retry: 5\nid: 3\n"
    with Wire([chunked(CREATED, odd, bad, *GOOD[1:])]) as wire, closing(client_of(wire.url)) as client:
        with client.chat(BOT, "u", [Said("x")]) as stream:
            events = list(stream)
        assert text_of(events) == "你好"
        assert (stream.malformed, dict(stream.unknown)) == (1, {"conversation.new": 1})


def test_a_heartbeat_counts_as_a_sign_of_life() -> None:
    ping = chunk(event("PING", {}))
    script = [CHUNKED, *(each for _ in range(5) for each in (ping, Hang(0.15))), *map(chunk, GOOD), END]
    with Wire([script]) as wire, closing(client_of(wire.url, read_timeout=0.5)) as client:
        assert text_of(ask(client)) == "你好"


def test_a_long_line_passes() -> None:
    card = whole(json.dumps({"x": "y" * 400_000}), content_type="card")
    events, _ = served(*chunked(CREATED, card, COMPLETED, DONE))
    assert any(isinstance(each, Whole) and len(each.message.content) > 400_000 for each in events)


def test_an_endless_line_is_cut_off() -> None:
    with pytest.raises(CozeError) as caught:
        served(CLOSED, CREATED, b"data:" + b"x" * 1_200_000)
    assert caught.value.name == "coze_too_large"


@pytest.mark.parametrize("data", ['"[DONE]"', "[DONE]", "{}", "", '{"debug_url":"u"}'])
@pytest.mark.parametrize("name", ["done", "conversation.stream.done"])
def test_every_form_of_done_is_the_end(name: str, data: str) -> None:
    events, _ = served(*chunked(CREATED, COMPLETED, event(name, data).rstrip()))
    assert isinstance(events[-1], Done)


@pytest.mark.parametrize("last", [COMPLETED, event("error", {"code": 5000})])
def test_an_end_without_done_is_an_end(last: bytes) -> None:
    events, _ = served(*chunked(CREATED, last))
    assert isinstance(events[-1], Ended | Failed)


# breaking off
CUTS = {
    "between chunks": [CHUNKED, chunk(CREATED), chunk(delta("你"))],
    "within a chunk": [CHUNKED, chunk(CREATED), b"40\r\nhalf"],
    "close-delimited": [CLOSED, CREATED],
    "within an event": [CLOSED, CREATED, delta("你")[:40]],
}


@pytest.mark.parametrize("script", CUTS.values(), ids=CUTS)
def test_an_end_before_the_end_is_truncation(script: list[bytes]) -> None:
    with pytest.raises(Truncated):
        served(*script)


def test_silence_is_a_timeout() -> None:
    with Wire([[CHUNKED, chunk(CREATED), Hang(5)]]) as wire, closing(client_of(wire.url, 0.2)) as client:
        with pytest.raises(TimedOut):
            ask(client)


def test_the_deadline_ends_a_stream_that_keeps_talking() -> None:
    script = [CHUNKED, *(each for _ in range(100) for each in (chunk(delta("啊")), Hang(0.05)))]
    with Wire([script]) as wire, closing(client_of(wire.url)) as client:
        with pytest.raises(TimedOut):
            ask(client, deadline=time.monotonic() + 0.3)


def test_the_deadline_shortens_the_wait_for_silence() -> None:
    with Wire([[CHUNKED, chunk(CREATED), Hang(40)]]) as wire, closing(client_of(wire.url, 30)) as client:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            ask(client, deadline=started + 0.3)
        assert time.monotonic() - started < 20


def test_no_call_is_made_after_the_deadline() -> None:
    with Wire([]) as wire, closing(client_of(wire.url)) as client:
        with pytest.raises(TimedOut):
            ask(client, deadline=time.monotonic() - 1)
        assert not wire.seen


def test_hurrying_shortens_the_rest_only() -> None:
    with Wire([[CHUNKED, chunk(CREATED), Hang(30)]]) as wire, closing(client_of(wire.url, 20)) as client:
        with client.chat(BOT, "u", [Said("x")], deadline=time.monotonic() + 10) as stream:
            events = iter(stream)
            assert isinstance(next(events), Named)
            stream.hurry(0.1)
            with pytest.raises(TimedOut):
                next(events)


def test_nobody_listening_is_unreachable() -> None:
    with Wire([]) as wire:
        url = wire.url
    with closing(client_of(url)) as client, pytest.raises(Unreachable):
        ask(client)


def test_a_connection_lost_before_the_answer_is_told_apart() -> None:
    with Wire([[]]) as wire, closing(client_of(wire.url)) as client:
        with pytest.raises(Disconnected):
            ask(client)
        assert len(wire.seen) == 1
