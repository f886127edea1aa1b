"""A local model behind an OpenAI-compatible `/v1/chat/completions`, streamed or whole, that can misbehave."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, request

Json = dict[str, Any]
KEY = "sk-yingda-sandbox"


class LocalModel:
    """What was asked, and what shall go wrong with the next requests.

    Faults: `500`, `429`, `silent` (nothing for `pause` seconds), `cut` (ends after the first piece), `error`
    (an error record in the stream), `empty`, `whole` (one document although a stream was asked for), `html`.
    """

    def __init__(self, pause: float = 30.0, pace: float = 0.0) -> None:
        self.requests: list[Json] = []
        self.faults: deque[str] = deque()
        self.pause = pause
        self.pace = pace
        """Seconds before each piece."""

    def answer(self, asked: Json) -> str:
        """Repeats the question, as a model without wisdom would."""
        said = [each["content"] for each in asked["messages"] if each["role"] == "user"]
        return f"备用模型收到：{said[-1]}"


def create_app(model: LocalModel) -> Flask:
    """The endpoint of one local model."""
    app = Flask(__name__)

    @app.post("/v1/chat/completions")
    def completions() -> Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _refused(401, f"Incorrect API key provided: {request.headers.get('Authorization', '')}")
        asked = request.get_json(silent=True)
        if not isinstance(asked, dict) or not asked.get("messages") or not asked.get("model"):
            return _refused(400, "model and messages are required")
        model.requests.append(asked)
        fault = model.faults.popleft() if model.faults else ""
        if fault.isdecimal():
            return _refused(int(fault), "the model is overloaded")
        if fault == "html":
            return Response("<html>login</html>", mimetype="text/html")
        if fault == "silent":
            time.sleep(model.pause)
        words = "" if fault == "empty" else model.answer(asked)
        if not asked.get("stream") or fault == "whole":
            choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
            return Response(json.dumps(_record([choice], "chat.completion")), mimetype="application/json")
        return Response(_stream(words, fault, model.pace), mimetype="text/event-stream")

    return app


def _stream(words: str, fault: str, pace: float) -> Iterator[str]:
    yield _line([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    if fault == "error":
        yield f"data: {json.dumps({'error': {'message': 'overloaded', 'type': 'server_error'}})}\n\n"
        return
    for place in range(0, len(words), 4):
        time.sleep(pace)
        piece = {"content": words[place : place + 4]}
        yield _line([{"index": 0, "delta": piece, "finish_reason": None}])
        if fault == "cut":
            return
    yield _line([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    # the record with the usage has no choice at all
    yield _line([])
    yield "data: [DONE]\n\n"


def _record(choices: list[Json], kind: str = "chat.completion.chunk") -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": "local", "choices": choices}


def _line(choices: list[Json]) -> str:
    return f"data: {json.dumps(_record(choices), ensure_ascii=False)}\n\n"


def _refused(status: int, message: str) -> Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "code": None}}
    return Response(json.dumps(body), status=status, mimetype="application/json")
