"""What the libraries take by themselves: an application that passes Coze's answers on and promises nothing.

Flask, gunicorn's settings, the way to Coze and the frames are the gateway's. There is no key, no signature,
no claim, no row, no order among a customer's questions and no log line, and the request that asks reads the
answer itself. What the gateway takes more is the price of its promises.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
from flask import Flask, Response, request

from adapters.base import event_stream
from adapters.web.stream import frame
from coze.answer import Answer
from coze.client import make_client
from coze.records import Said
from coze.streams import ChatStream
from settings import load_settings

settings = load_settings()
coze = make_client(settings)
app = Flask(__name__)
# what gunicorn's settings ask of the gateway when a worker begins and when it leaves
app.extensions["yingda"] = SimpleNamespace(
    people=SimpleNamespace(passwords=SimpleNamespace()), hang_up=lambda: None, close=lambda _seconds: None
)


@app.get("/healthz")
def alive() -> str:
    return "ok"


@app.post("/api/chat")
def chat() -> Response:
    """The whole answer as one JSON."""
    answer = Answer("")
    with _asked(request.get_json()) as stream:
        # nobody reads the pieces, as with the gateway's JSON
        stream.followed = lambda: False
        for event in stream:
            answer.take(event)
    return Response(orjson.dumps({"success": True, "message": answer.text}), mimetype="application/json")


@app.post("/api/chat/stream")
def chat_stream() -> Response:
    """The pieces as they come, in the gateway's frames."""
    return event_stream(_frames(request.get_json()))


def _frames(question: dict[str, Any]) -> Iterator[bytes]:
    answer, said = Answer(""), 0
    with _asked(question) as stream:
        for event in stream:
            if piece := answer.take(event):
                said += len(piece)
                yield frame({"type": "message", "content": piece}, f"{question['message_id']}.{said}")
    yield frame({"type": "done", "content": ""}, f"{question['message_id']}.{said}")


def _asked(question: dict[str, Any]) -> ChatStream:
    deadline = time.monotonic() + settings.coze_answer_timeout
    return coze.chat(settings.coze_bot, question["user_id"], [Said(question["message"])], deadline=deadline)
