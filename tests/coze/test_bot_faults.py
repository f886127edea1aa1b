"""Every fault of the protocol has one visible outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from sandbox.coze import FAULTS, LocalCoze
from tests.coze.wire import CHUNKED, END, Wire, chunk, event
from tests.coze.world import TEXTS, World

HARMLESS = {
    "completed_differs", "only_completed", "deltas_only", "untyped_delta", "duplicate_completed", "answers",
    "ask", "tool", "card", "knowledge", "knowledge_recall", "verbose", "reasoning", "follow_up", "markdown",
    "long", "audio_after_completed", "unknown_events", "malformed_event", "big_event", "odd_chat_object",
    "other_conversation_id", "dialect", "spaced", "ids", "crlf", "cr", "no_blank_lines", "no_final_newline",
    "multiline_data", "bom", "comments", "pings", "shuffled", "no_done", "done", "studio_done", "id_gap",
    "no_content_type", "wrong_content_type", "unchunked", "gzip", "bytewise", "split_utf8", "cut_mid_event",
    "cut_mid_utf8", "cut_before_completed", "reset", "sse_for_nonstream", "created_status", "code",
}  # fmt: skip
FATAL = {
    "json_error_200": "coze_4000",
    "http_status": "coze_http_500",
    "html_200": "coze_malformed",
    "empty_body": "coze_malformed",
    "broken_json": "coze_malformed",
    "chat_failed": "coze_5000",
    "chat_failed_bare": "coze_5000",
    "error_event": "coze_5000",
    "empty_answer": "coze_empty",
    "tool_call": "coze_requires_action",
}
SLOW = {"endless", "slow_first_byte", "hang_after_headers", "hang_mid_stream"}


def test_every_fault_of_a_chat_is_looked_at() -> None:
    assert {name for name, kind in FAULTS.items() if kind.home == "chat"} == HARMLESS | FATAL.keys() | SLOW


@pytest.mark.parametrize("fault", sorted(HARMLESS))
def test_the_whole_answer_arrives_in_spite_of(world: World, coze: LocalCoze, fault: str) -> None:
    coze.faults.queue(fault)
    reply = world.ask("请介绍一下你自己")
    assert (reply.error, reply.truncated) == (None, False)
    assert reply.text == world.sink.shown != ""
    assert "{" not in reply.text
    assert len(world.sink.names) == 1


@pytest.mark.parametrize("dialect", ["cloud", "chatflow", "workflow", "studio", "studio_chatflow"])
def test_every_dialect_is_understood(world: World, dialect: str) -> None:
    reply = world.ask(f"[[dialect name={dialect}]] 你好")
    assert (reply.error, reply.text) == (None, world.sink.shown)


@pytest.mark.parametrize("fault", sorted(FATAL))
def test_a_failure_has_a_cause_and_a_polite_text(world: World, coze: LocalCoze, fault: str) -> None:
    coze.faults.queue(fault)
    reply = world.ask()
    assert reply.error == FATAL[fault]
    assert reply.text == (TEXTS.no_answer if fault == "empty_answer" else TEXTS.apology)
    assert world.sink.pieces == []
    assert world.sink.calls == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (4014, TEXTS.sensitive),
        (4105, TEXTS.sensitive),
        (4020, TEXTS.busy),
        (4009, TEXTS.busy),
        (4011, TEXTS.apology),
    ],
)
def test_the_text_fits_the_code(world: World, coze: LocalCoze, code: int, text: str) -> None:
    for _ in range(10):
        coze.faults.queue("error_event", code=code, alone=1, msg="内部细节")
    reply = world.ask()
    assert (reply.text, reply.error) == (text, f"coze_{code}")


@pytest.mark.parametrize("shape", ["int", "string", "empty", "text"])
def test_a_failure_after_some_words_keeps_them(world: World, coze: LocalCoze, shape: str) -> None:
    coze.faults.queue("error_event", after=3, shape=shape)
    reply = world.ask()
    assert reply.truncated
    assert reply.error in {"coze_5000", "coze_error"}
    assert reply.text.endswith("\n" + TEXTS.interrupted)
    assert reply.text == world.sink.shown


def test_a_configuration_error_is_logged_with_a_hint(
    world: World, coze: LocalCoze, caplog: pytest.LogCaptureFixture
) -> None:
    coze.faults.queue("code", code=4015)
    with caplog.at_level(logging.ERROR, "coze.bot"):
        world.ask()
    (record,) = caplog.records
    assert record.__dict__["error"] == "coze_4015"
    assert "COZE_API_BASE" in record.__dict__["hint"]
    assert record.__dict__["logid"]


def test_errors_of_coze_never_reach_the_customer(wired: Callable[..., tuple[World, Wire]]) -> None:
    secret = "内部 pat_abc123 <html>"
    world, _ = wired([CHUNKED, chunk(event("error", {"code": 4000, "msg": secret})), END])
    reply = world.ask()
    assert (reply.text, reply.error) == (TEXTS.apology, "coze_4000")
