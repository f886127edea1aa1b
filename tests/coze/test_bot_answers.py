"""The ordinary way: a question, its answer, and what comes along with it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

import pytest

from coze import bot as bot_module
from handler.message import Media
from sandbox.coze import LocalCoze
from tests.coze.wire import CHUNKED, CREATED, Hang, Wire, chunk, delta, whole
from tests.coze.world import FINISH, TEXTS, World, posts


def test_an_answer_is_streamed_and_returned(world: World) -> None:
    reply = world.ask()
    assert (reply.source, reply.error, reply.truncated) == ("coze", None, False)
    assert reply.text == world.sink.shown
    assert len(world.sink.pieces) > 1
    assert reply.usage is not None
    assert reply.usage.output_tokens > 0


def test_the_question_carries_a_stable_name_and_the_request_id(world: World, coze: LocalCoze) -> None:
    world.ask()
    (body,) = posts(coze)
    name = "yd_" + hashlib.sha256(b"wechat\0main\0oABC\0oABC").hexdigest()[:48]
    assert (body["user_id"], body["meta_data"]) == (name, {"request_id": "req-1"})
    assert (body["stream"], body["auto_save_history"], body["enable_card"]) == (True, True, False)
    assert "oABC" not in json.dumps(body)


def test_the_chat_is_named_before_its_first_word(world: World) -> None:
    seen: list[int] = []
    world.sink.delta = lambda text: seen.append(len(world.sink.names))  # type: ignore[method-assign]
    world.ask()
    assert set(seen) == {1}


def test_documents_suggestions_and_thoughts_come_along(world: World) -> None:
    assert len(world.ask("[[knowledge]] 指南").docs) == 2
    assert len(world.ask("[[knowledge_recall]] 指南").docs) == 2
    assert len(world.ask("[[follow_up n=3]] 问").suggestions) == 3
    thought = world.ask("[[reasoning]] 问")
    assert thought.reasoning
    assert thought.reasoning not in thought.text


def test_a_card_is_replaced_by_a_sentence(world: World) -> None:
    assert world.ask("[[card]] 看").text == TEXTS.card


def test_a_question_of_the_bot_is_answered_in_the_same_conversation(world: World) -> None:
    asked = world.ask("[[ask]] 办理")
    conversation = world.session.conversation_id
    assert (asked.error, asked.text != "") == (None, True)
    assert world.ask("A").error is None
    assert world.session.conversation_id == conversation


def test_a_picture_travels_with_its_words(world: World, coze: LocalCoze) -> None:
    media = (Media("image", url="https://x/y.png"), Media("voice", id="m1"), Media("file", url="ftp://x"))
    assert world.ask("（用户发来一张图片）", media=media).error is None
    (body,) = posts(coze)
    (message,) = body["additional_messages"]  # type: ignore[misc]
    assert message["content_type"] == "object_string"
    assert json.loads(message["content"]) == [
        {"type": "text", "text": "（用户发来一张图片）"},
        {"type": "image", "file_url": "https://x/y.png"},
    ]


def test_a_chatflow_is_asked_when_one_is_set(
    world_at: Callable[..., World], url: str, coze: LocalCoze
) -> None:
    world = world_at(url, coze_workflow_id="7300", coze_app_id="9")
    assert world.ask().error is None
    world.ask()
    body = posts(coze, "/v1/workflows/chat")[-1]
    assert body["conversation_id"] == world.session.conversation_id
    assert "bot_id" not in body


def test_a_finished_answer_waits_only_briefly_for_what_follows(
    wired: Callable[..., tuple[World, Wire]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_module, "SUGGESTION_SECONDS", 0.1)
    world, wire = wired([CHUNKED, chunk(CREATED + delta("好") + whole("好") + FINISH), Hang(30)])
    started = time.monotonic()
    reply = world.ask(seconds=20)
    assert (reply.text, reply.error) == ("好", None)
    assert time.monotonic() - started < 10
    # cancelling would take the answer out of the conversation's memory
    assert len(wire.seen) == 1
