"""Pieces that nobody reads as they come are not decoded, and nothing of an answer is lost by that."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise

import pytest

from coze import streams
from coze.answer import Answer
from coze.errors import Truncated
from coze.protocol import ChatEvent
from coze.records import Said
from coze.sse import Event
from tests.coze.calls import BOT, client_of
from tests.coze.wire import CHUNKED, COMPLETED, CREATED, DONE, END, Wire, chunk
from tests.coze.world import World

WORDS = [f"第{number}句。" for number in range(8)]
ENDS = [COMPLETED, DONE]


def message(name: str, content: str, key: str = "1", **more: object) -> bytes:
    """A record as Coze writes it, without a space too many."""
    fields = {"id": key, "conversation_id": "72", "chat_id": "71", "role": "assistant", "type": "answer"}
    fields |= {"content": content, "content_type": "text"} | more  # type: ignore[assignment]
    data = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return f"event:conversation.message.{name}\ndata:{data}\n\n".encode()


def pieces(key: str = "1", **more: object) -> list[bytes]:
    return [message("delta", each, key, **more) for each in WORDS]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all records that were decoded."""
    names: list[str] = []
    really = streams.chat_event

    def counted(record: Event, logid: str = "") -> ChatEvent | None:
        names.append(record.event)
        return really(record, logid)

    monkeypatch.setattr(streams, "chat_event", counted)
    return names


@pytest.fixture
def wired(world_at: Callable[..., World]) -> Iterator[Callable[..., World]]:
    """A bot whose Coze says these records and that nobody follows."""
    wires: list[Wire] = []

    def build(*records: bytes, end: bytes = END) -> World:
        wires.append(Wire([[CHUNKED, *map(chunk, records), end]]).__enter__())
        world = world_at(wires[-1].url)
        world.sink.reads = False
        return world

    yield build
    for each in wires:
        each.__exit__(None, None, None)


def test_of_pieces_that_a_whole_message_replaces_only_the_first_is_decoded(
    wired: Callable[..., World], decoded: list[str]
) -> None:
    world = wired(CREATED, *pieces(), message("completed", "".join(WORDS)), *ENDS)
    assert world.ask().text == world.sink.shown == "".join(WORDS)
    assert decoded.count("conversation.message.delta") == 1


@pytest.mark.parametrize("last", [[], [message("completed", "？", "2", type="follow_up")]])
def test_without_a_whole_message_the_pieces_are_the_answer(
    wired: Callable[..., World], last: list[bytes]
) -> None:
    world = wired(CREATED, *pieces(), *last, *ENDS)
    assert world.ask().text == world.sink.shown == "".join(WORDS)


def test_of_an_answer_that_breaks_off_everything_that_came_counts(wired: Callable[..., World]) -> None:
    world = wired(CREATED, *pieces(), end=b"")
    reply = world.ask(seconds=1.0)
    assert reply.truncated
    assert reply.text.startswith("".join(WORDS))
    assert world.sink.shown.startswith("".join(WORDS))


def test_thoughts_come_in_pieces_only_and_are_kept(wired: Callable[..., World]) -> None:
    thinking = [message("delta", "", reasoning_content=each) for each in ("先", "想")]
    said = pieces(reasoning_content="")
    world = wired(CREATED, said[0], *thinking, *said[1:], message("completed", "".join(WORDS)), *ENDS)
    reply = world.ask()
    assert (reply.text, reply.reasoning) == ("".join(WORDS), "先想")


def test_who_begins_to_read_in_the_middle_gets_all_of_it_in_its_order(wired: Callable[..., World]) -> None:
    world = wired(CREATED, *pieces(), message("completed", "".join(WORDS)), *ENDS)
    asked = iter([False] * 4)
    world.sink.followed = lambda: next(asked, True)  # type: ignore[method-assign]
    assert world.ask().text == world.sink.shown == "".join(WORDS)
    assert world.sink.pieces[-4:] == WORDS[-4:]


@pytest.mark.parametrize("seed", range(24))
def test_whoever_reads_when_the_answer_is_the_same(seed: int) -> None:
    chance = random.Random(seed)
    records = [CREATED, *(_record(chance) for _ in range(chance.randrange(2, 40)))]
    records += ENDS if chance.random() < 0.8 else []
    # some together, some in two parts, as a network does it
    body = b"".join(records)
    cuts = sorted({0, len(body), *(chance.randrange(len(body)) for _ in range(chance.randrange(4)))})
    parts = [body[a:b] for a, b in pairwise(cuts)] if seed % 2 else records
    always, _ = _answer(parts, lambda: True)
    sometimes, shown = _answer(parts, lambda: chance.random() < 0.3)
    never, all_of_it = _answer(parts, lambda: False)
    for other in (sometimes, never):
        assert (other.text, other.reasoning, other.suggestions) == (
            always.text,
            always.reasoning,
            always.suggestions,
        )
    assert (sometimes.shown, never.shown) == (shown, all_of_it)


def _record(chance: random.Random) -> bytes:
    key, content = chance.choice("1112"), chance.choice(WORDS)
    kind = chance.random()
    if kind < 0.7:
        return message("delta", content, key)
    if kind < 0.75:
        return message("delta", "", key, reasoning_content="嗯")
    if kind < 0.8:
        return b'event:conversation.message.delta\ndata:{"id":"1","content":\n\n'
    if kind < 0.85:
        return message("completed", content, "9", type="follow_up")
    return message("completed", content * chance.randrange(3), key)


def _answer(parts: list[bytes], followed: Callable[[], bool]) -> tuple[Answer, str]:
    """The answer as it was put together, and what it showed."""
    answer, shown = Answer("card"), ""
    with Wire([[CHUNKED, *map(chunk, parts), END]]) as wire, closing(client_of(wire.url)) as client:
        with client.chat(BOT, "u", [Said("x")]) as stream:
            stream.followed = followed
            with suppress(Truncated):
                for event in stream:
                    shown += answer.take(event)
    return answer, shown
