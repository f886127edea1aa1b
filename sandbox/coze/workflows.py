"""The routes of workflows that are no chats: run, streamed run, and resume after a question."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flask import Flask, Response, request

from sandbox.coze.brain import count_tokens, think
from sandbox.coze.context import Call, as_json, current, logid, text_of
from sandbox.coze.delivery import deliver
from sandbox.coze.errors import Refusal
from sandbox.coze.framing import choose_dialect, frame_events
from sandbox.coze.samples import QUESTION
from sandbox.coze.script import DONE, Event, pieces
from sandbox.coze.state import Json, LocalCoze

MOST_RESUMES = 3
DEBUG_URL = "https://www.coze.cn/work_flow?execute_id=7400000000000000401"


def add_workflows(app: Flask, coze: LocalCoze) -> None:
    """Registers the routes."""

    @app.post("/v1/workflow/run", endpoint="workflow_run")
    def run() -> Response:
        call = current()
        question = _read(call.body)
        if call.body.get("is_async"):
            raise Refusal(6003)
        answer = think(question).answer
        data = json.dumps({"output": answer}, ensure_ascii=False)
        if "plain" in call.plan:
            data = answer
        if "wrapped" in call.plan:
            inner = {"content_type": 1, "data": answer, "original_result": None, "type_for_model": 2}
            data = json.dumps(inner, ensure_ascii=False)
        return as_json(
            {"code": 0, "msg": "", "data": data, **_bill(question, answer), "detail": {"logid": logid()}}
        )

    @app.post("/v1/workflow/stream_run", endpoint="workflow_stream")
    def stream_run() -> Response:
        call = current()
        return _stream(coze, call, _run(coze, call, _read(call.body)))

    @app.post("/v1/workflow/stream_resume", endpoint="workflow_resume")
    def stream_resume() -> Response:
        call = current()
        text_of(call.body, "workflow_id")
        event_id, said = text_of(call.body, "event_id"), call.body.get("resume_data")
        if not isinstance(said, str) or not isinstance(call.body.get("interrupt_type"), int):
            raise Refusal(4000, "resume_data must be a string and interrupt_type a number")
        with coze.lock:
            asked, resumes = coze.interrupts.pop(event_id, ("", -1))
        if resumes < 0:
            raise Refusal(4200, "the interrupt event does not exist")
        if resumes >= MOST_RESUMES:
            return _stream(coze, call, [_error(5000, "the workflow was interrupted too often")])
        return _stream(coze, call, _run(coze, call, said, resumes + 1, asked))


def _read(body: Json) -> str:
    """The words of a run: its parameters' texts. Refusal 4000 when the request is not in order."""
    text_of(body, "workflow_id")
    bot_id, app_id = text_of(body, "bot_id", False), text_of(body, "app_id", False)
    if bot_id and app_id:
        raise Refusal(4000, "bot_id and app_id exclude each other")
    parameters = body.get("parameters") or {}
    if isinstance(parameters, str):
        try:
            parameters = json.loads(parameters)
        except ValueError as wrong:
            raise Refusal(4000, "parameters must be an object") from wrong
    if not isinstance(parameters, dict):
        raise Refusal(4000, "parameters must be an object")
    return " ".join(each for each in parameters.values() if isinstance(each, str))


def _run(coze: LocalCoze, call: Call, question: str, resumes: int = 0, earlier: str = "") -> list[Event]:
    plan = call.plan
    if "interrupt" in plan:
        return [_message(QUESTION, "问答", 0, True), _interrupt(coze, question, resumes)]
    answer = think(question, [earlier] if earlier else [], expected=bool(resumes)).answer
    pace = coze.pace if plan.pace is None else plan.pace
    cuts = list(pieces(answer))
    failure = plan.find("workflow_error")
    if failure:
        cuts = cuts[:2]
    title = "输出" if "output_node" in plan else "结束"
    events = [
        _message(text, title, seq, seq == len(cuts) - 1, plan.delay + pace * seq)
        for seq, text in enumerate(cuts)
    ]
    if failure:
        return [*events, _error(failure.whole("code", 5000), failure.text("msg", "node failed"))]
    if "output_node" in plan:
        repeated = json.dumps({"output": answer}, ensure_ascii=False)
        events.append(_message(repeated, "结束", 0, True, events[-1].at))
    return [*events, Event(DONE, None, events[-1].at)]


def _stream(coze: LocalCoze, call: Call, events: Sequence[Event]) -> Response:
    call.delivered = True
    dialect = choose_dialect("workflow", call.plan, request.args.get("dialect", ""))
    return deliver(frame_events(events, dialect), call.plan, call.line)


def _message(content: str, title: str, seq: int, last: bool, at: float = 0.0) -> Event:
    node_id = "900001" if title == "结束" else "100002"
    data = {
        "content": content,
        "node_title": title,
        "node_seq_id": str(seq),
        "node_is_finish": last,
        "node_id": node_id,
        "node_execute_uuid": f"run-{node_id}",
        "content_type": "text",
    }
    return Event("Message", data, at)


def _interrupt(coze: LocalCoze, question: str, resumes: int) -> Event:
    event_id = f"{coze.new_id()}/{coze.new_id()}"
    with coze.lock:
        coze.interrupts[event_id] = (question, resumes)
    data = {"interrupt_data": {"event_id": event_id, "type": 2, "data": ""}, "node_title": "问答"}
    return Event("Interrupt", data)


def _error(code: int, message: str) -> Event:
    return Event("Error", {"error_code": code, "error_message": message, "debug_url": DEBUG_URL})


def _bill(question: str, answer: str) -> Json:
    asked, said = count_tokens(question), count_tokens(answer)
    return {
        "debug_url": DEBUG_URL,
        "usage": {"token_count": asked + said, "output_count": said, "input_count": asked},
        "execute_id": "",
        "token": asked + said,
        "cost": "0",
    }
