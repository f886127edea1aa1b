"""Results of workflow runs: unwrapping, interrupts, gaps, repetitions."""

from __future__ import annotations

import json

import pytest

from coze.sse import Event
from coze.workflows import Interrupt, WorkflowRun, unwrapped, workflow_result

WRAPPED = json.dumps({"content_type": 1, "data": "文字", "original_result": None, "type_for_model": 2})


@pytest.mark.parametrize(
    ("data", "output", "words"),
    [
        ('{"output":"好"}', {"output": "好"}, "好"),
        ("plain words", "plain words", "plain words"),
        ("12", "12", "12"),
        (WRAPPED, "文字", "文字"),
        (json.dumps({"Output": json.dumps({"output": "好"})}), {"output": "好"}, "好"),
        ('{"a":1,"b":2}', {"a": 1, "b": 2}, '{"a":1,"b":2}'),
        ("", "", ""),
        (None, None, ""),
    ],
)
def test_an_output_is_taken_out_of_its_wrappings(data: object, output: object, words: str) -> None:
    result = workflow_result({"code": 0, "data": data, "debug_url": "u", "execute_id": 5}, "log")
    assert (result.output, result.text, result.execute_id, result.logid) == (output, words, "5", "log")


def test_wrappings_end_somewhere() -> None:
    data = "x"
    for _ in range(8):
        data = json.dumps({"Output": data})
    assert unwrapped(data) != "x"


def test_a_run_that_asks_something_is_not_finished() -> None:
    result = workflow_result({"data": "", "interrupt_data": {"event_id": "7/8", "type": 2, "data": "?"}}, "")
    assert result.interrupt == Interrupt("7/8", 2, "?")


def follow(*records: tuple[str, object, str]) -> WorkflowRun:
    run = WorkflowRun()
    for name, data, key in records:
        run.take(Event(name, data if isinstance(data, str) else json.dumps(data), key))
    return run


def node(title: str, content: str) -> dict[str, object]:
    return {"node_title": title, "content": content, "node_seq_id": "0"}


def test_an_interrupt_keeps_the_event_id_to_resume_with() -> None:
    data = {"interrupt_data": {"event_id": "7/8", "type": 2, "data": ""}, "node_title": "问答"}
    run = follow(("Message", node("问答", "哪天？"), "0"), ("Interrupt", data, "1"))
    assert run.interrupt == Interrupt("7/8", 2, "", "问答")
    assert (run.text, run.ended) == ("哪天？", True)


def test_a_gap_in_the_ids_is_counted_as_loss() -> None:
    run = follow(("Message", node("a", "1"), "0"), ("Message", node("a", "3"), "2"), ("Done", {}, "3"))
    assert run.lost == 1


def test_an_end_node_that_repeats_an_output_node_is_left_out() -> None:
    records = [("Message", node("输出", piece), str(i)) for i, piece in enumerate(("你", "好", "！"))]
    run = follow(
        *records, ("Message", node("End", '{"output":"你好！"}'), "3"), ("Done", {"debug_url": "u"}, "4")
    )
    assert (run.text, run.debug_url, run.lost) == ("你好！", "u", 0)


def test_nodes_of_their_own_are_lines_of_their_own() -> None:
    run = follow(("message", node("a", "甲"), "0"), ("MESSAGE", node("b", "乙"), "1"), ("done", "", "2"))
    assert (run.text, run.ended) == ("甲\n乙", True)


@pytest.mark.parametrize("data", [{"error_code": 5000, "error_message": "x"}, {"code": "5000", "msg": "x"}])
def test_an_error_ends_the_run(data: object) -> None:
    run = follow(("Error", data, "0"))
    assert run.error is not None
    assert (run.error.name, run.ended) == ("coze_5000", True)


def test_an_error_may_be_plain_text() -> None:
    run = follow(("error", "out of order", ""))
    assert run.error is not None
    assert "out of order" in run.error.message


def test_heartbeats_and_unknown_records_are_passed_over() -> None:
    run = follow(("PING", {"content": "{}"}, "0"), ("News", "{", "1"), ("Done", {}, "2"))
    assert (run.text, run.ignored, run.ended) == ("", 1, True)
