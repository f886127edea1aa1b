"""Answers that break off or take too long: made whole, given up, or finished by another process."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from coze.errors import Abandoned
from sandbox.coze import LocalCoze
from tests.coze.wire import CHUNKED, CLOSE, CLOSED, CREATED, Hang, Wire, answer_json, chunk, delta
from tests.coze.world import TEXTS, Follower, World, posts, stored

# breaking off, giving up


def test_a_broken_stream_is_made_whole_without_asking_again(wired: Callable[..., tuple[World, Wire]]) -> None:
    world, wire = wired(
        [CHUNKED, chunk(CREATED + delta("你"))], *stored(None, "in_progress")[:1], *stored("你好！")
    )
    reply = world.ask()
    assert (reply.text, reply.error, reply.truncated) == ("你好！", None, False)
    assert world.sink.pieces == ["你", "好！"]
    assert [each.line.split("?")[0].removesuffix(" HTTP/1.1") for each in wire.seen] == [
        "POST /v3/chat",
        "GET /v3/chat/retrieve",
        "GET /v3/chat/retrieve",
        "GET /v3/chat/message/list",
    ]


def test_a_stored_answer_that_differs_wins(wired: Callable[..., tuple[World, Wire]]) -> None:
    world, _ = wired([CLOSED, CREATED, delta("尔好")], *stored("你好"))
    reply = world.ask()
    assert (reply.text, world.sink.shown) == ("你好", "尔好")


@pytest.mark.parametrize("status", ["failed", "canceled", "expired", "deleted", "cancelled"])
def test_a_chat_that_ended_badly_meanwhile_ends_the_waiting(
    wired: Callable[..., tuple[World, Wire]], status: str
) -> None:
    world, wire = wired([CLOSED, CREATED], *stored(None, status))
    reply = world.ask()
    assert (reply.text, reply.error) == (TEXTS.apology, f"coze_{status.replace('ll', 'l')}")
    assert len(wire.seen) == 2


def test_words_of_a_chat_that_failed_meanwhile_are_kept(wired: Callable[..., tuple[World, Wire]]) -> None:
    world, _ = wired([CLOSED, CREATED, delta("一半")], *stored(None, "failed"))
    reply = world.ask()
    assert (reply.text, reply.error) == (f"一半\n{TEXTS.interrupted}", "coze_failed")
    assert reply.text == world.sink.shown


def test_words_are_kept_when_coze_stored_none(wired: Callable[..., tuple[World, Wire]]) -> None:
    world, _ = wired([CLOSED, CREATED, delta("一半")], *stored(None))
    reply = world.ask()
    assert (reply.text, reply.error) == (f"一半\n{TEXTS.interrupted}", "coze_empty")


def test_one_document_instead_of_a_stream_is_followed_by_looking(
    wired: Callable[..., tuple[World, Wire]],
) -> None:
    created = {"id": "71", "conversation_id": "72", "status": "created"}
    world, _ = wired([answer_json({"code": 0, "data": created}, headers=CLOSE)], *stored("你好"))
    assert world.ask().text == "你好"
    assert world.sink.names == [("72", "71")]


def test_words_that_nothing_completes_are_marked_as_broken_off(
    wired: Callable[..., tuple[World, Wire]],
) -> None:
    unknown = answer_json({"code": 4001, "msg": "no such chat"}, headers=CLOSE)
    world, _ = wired([CLOSED, CREATED, delta("一半")], [unknown])
    reply = world.ask()
    assert (reply.text, reply.error, reply.truncated) == (
        f"一半\n{TEXTS.interrupted}",
        "coze_truncated",
        True,
    )
    assert reply.text == world.sink.shown


def test_at_the_deadline_the_chat_is_cancelled(world: World, coze: LocalCoze) -> None:
    started = time.monotonic()
    reply = world.ask("[[endless seconds=50]] 说", seconds=3)
    assert (reply.error, reply.truncated) == ("coze_timeout", True)
    assert time.monotonic() - started < 30
    (chat,) = coze.chats.values()
    assert chat.status == "canceled"


def test_silence_until_the_deadline_is_bounded(
    world_at: Callable[..., World], url: str, coze: LocalCoze
) -> None:
    world = world_at(url, coze_read_timeout=50)
    coze.faults.queue("hang_after_headers")
    started = time.monotonic()
    reply = world.ask(seconds=0.4)
    assert (reply.text, reply.error) == (TEXTS.apology, "coze_timeout")
    assert time.monotonic() - started < 20
    assert world.sink.calls == 1


def test_an_answer_ready_at_the_last_moment_is_taken(wired: Callable[..., tuple[World, Wire]]) -> None:
    late = answer_json({"code": 4104, "msg": "ended"}, "400 Bad Request", CLOSE)
    world, wire = wired([CHUNKED, chunk(CREATED + delta("你")), Hang(0.6)], [late], *stored("你好"))
    assert world.ask(seconds=0.3).text == "你好"
    assert wire.seen[1].line.startswith("POST /v3/chat/cancel")


def test_an_abandoned_chat_is_cancelled(world: World, coze: LocalCoze) -> None:
    world.sink = Follower(stop_at="您")
    with pytest.raises(Abandoned):
        world.ask("[[endless seconds=50]] 说")
    (chat,) = coze.chats.values()
    assert chat.status == "canceled"


def test_a_sink_that_says_no_stops_before_the_call(world: World, coze: LocalCoze) -> None:
    world.sink = Follower(calls=0)
    with pytest.raises(Abandoned):
        world.ask()
    assert not coze.requests


def test_a_sink_that_says_enough_stops_the_tries(world: World, coze: LocalCoze) -> None:
    world.sink = Follower(calls=2)
    for _ in range(5):
        coze.faults.queue("code", code=4016)
    with pytest.raises(Abandoned):
        world.ask()
    assert len(posts(coze)) == 2


# taking over


def test_a_chat_begun_by_another_process_is_finished_without_asking(world: World, coze: LocalCoze) -> None:
    expected = world.ask()
    sink = Follower()
    reply = world.bot.resume(world.session, *world.sink.names[0], sink=sink, deadline=time.monotonic() + 3)
    assert (reply.text, sink.shown, sink.calls) == (expected.text, expected.text, 0)
    assert len(posts(coze)) == 1


def test_a_running_chat_is_waited_for(world: World, coze: LocalCoze) -> None:
    world.sink.stop_at = "您"
    coze.faults.queue("cancel_4104")
    with pytest.raises(Abandoned):
        world.ask("[[pace:0.01]] 说")
    sink = Follower()
    reply = world.bot.resume(world.session, *world.sink.names[0], sink=sink, deadline=time.monotonic() + 5)
    assert reply.error is None
    assert reply.text == sink.shown != ""


def test_a_chat_that_is_gone_is_an_apology(world: World) -> None:
    reply = world.bot.resume(world.session, "1", "2", sink=world.sink, deadline=time.monotonic() + 1)
    assert (reply.text, reply.error) == (TEXTS.apology, "coze_truncated")
