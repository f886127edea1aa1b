"""Breaths: a crowd's answers are read a few pieces at a time, without losing one or its order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import certifi
import pytest

from coze import connections
from coze import transport as transport_module
from coze.breath import FEW, LONGEST_SECONDS, SHORTEST_SECONDS, UNEVEN, breath
from coze.records import Said
from coze.transport import Transport
from tests.coze.calls import BOT, client_of, text_of
from tests.coze.wire import (
    CHUNKED,
    COMPLETED,
    CREATED,
    DONE,
    END,
    NEXT,
    Hang,
    SecureWire,
    Wire,
    chunk,
    delta,
    whole,
)

PAUSE_SECONDS = 0.8
PIECES = "人到齐了"
Serve = Callable[[Iterable[bytes | Hang]], Wire]


@pytest.fixture
def breaths(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every process is a crowd; in the list, the seconds of each breath."""
    taken: list[float] = []

    def breathe(seconds: float) -> None:
        taken.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(transport_module, "breath", lambda streams: PAUSE_SECONDS)
    monkeypatch.setattr(connections, "time", SimpleNamespace(sleep=breathe))
    return taken


@pytest.fixture(params=["plain", "tls"])
def serve(request: pytest.FixtureRequest, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Makes a server of one script."""
    monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    return lambda script: SecureWire(certificate, script) if request.param == "tls" else Wire([script])


def test_few_streams_never_pause_and_a_crowd_longer_the_more_it_is() -> None:
    assert [breath(streams) for streams in (0, 1, FEW - 1)] == [0, 0, 0]
    least, most = UNEVEN
    lower, higher = ([breath(streams) for _ in range(200)] for streams in (FEW, 700))
    assert SHORTEST_SECONDS * least <= min(lower) < max(lower) <= SHORTEST_SECONDS * most
    assert mean(lower) < mean(higher)
    assert max(breath(streams) for streams in range(0, 5_000, 10)) <= LONGEST_SECONDS * most


def test_streams_that_pause_together_do_not_wake_together() -> None:
    assert len({breath(500) for _ in range(100)}) == 100


def test_what_comes_during_a_breath_is_read_without_another(breaths: list[float], serve: Serve) -> None:
    slowly = [part for each in (b"b", b"c", b"d") for part in (Hang(0.06), chunk(each))]
    with serve([CHUNKED, chunk(b"a"), *slowly, Hang(0.5), END]) as wire:
        with closing(Transport(wire.address)) as transport:
            with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
                assert incoming.read() == b"a"
                assert not breaths, "the first piece is waited for"
                incoming.relax()
                assert [incoming.read() for _ in range(3)] == [b"b", b"c", b"d"]
                assert breaths == [PAUSE_SECONDS]
                assert incoming.read() == b""


def test_what_is_there_already_is_read_at_once(breaths: list[float], serve: Serve) -> None:
    pieces = [bytes([each]) * 3_000 for each in b"abcdefgh"]
    with serve([CHUNKED + b"".join(map(chunk, pieces)) + END]) as wire:
        with closing(Transport(wire.address)) as transport:
            with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
                # more than fits into one read of the buffer, or into one record of TLS
                time.sleep(0.5)
                incoming.relax()
                assert incoming.body() == b"".join(pieces)
    assert not breaths


def test_no_breath_goes_beyond_the_deadline(breaths: list[float]) -> None:
    with Wire([[CHUNKED, Hang(0.1), chunk(b"a"), Hang(0.1), chunk(b"b"), END]]) as wire:
        with closing(Transport(wire.url)) as transport:
            deadline = time.monotonic() + PAUSE_SECONDS + 0.2
            with transport.send("POST", "/v3/chat", "pat_x", json={}, deadline=deadline) as incoming:
                incoming.relax()
                assert incoming.body() == b"ab"
    assert breaths


def test_the_next_answer_on_a_connection_is_waited_for_again(breaths: list[float], serve: Serve) -> None:
    second = [CHUNKED, Hang(0.1), chunk(b"c"), Hang(0.1), END]
    with serve([CHUNKED, chunk(b"a"), END, NEXT, *second]) as wire:
        with closing(Transport(wire.address)) as transport:
            with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
                incoming.relax()
                assert incoming.body() == b"a"
            taken = len(breaths)
            with transport.send("POST", "/v3/chat", "pat_x", json={}) as incoming:
                assert incoming.body() == b"c"
    assert len(wire.seen) == 2
    assert len(breaths) == taken


def test_a_chat_is_read_in_breaths_from_its_first_words_until_its_end_is_awaited(
    breaths: list[float],
) -> None:
    words = [part for each in PIECES for part in (Hang(0.06), chunk(delta(each)))]
    script = [CHUNKED, chunk(CREATED), *words, Hang(0.5), chunk(whole(PIECES)), chunk(COMPLETED), Hang(0.1)]
    with Wire([[*script, chunk(DONE), END]]) as wire, closing(client_of(wire.url)) as client:
        with client.chat(BOT, "u", [Said("x")]) as stream:
            events = iter(stream)
            seen = [next(events), next(events)]
            assert not breaths, "before the first words everything is waited for"
            seen += [next(events) for _ in range(3)]
            assert len(breaths) == 1, "the others came during the first breath"
            stream.hurry(10)
            seen += events
    assert len(breaths) == 1
    assert text_of(seen) == PIECES
