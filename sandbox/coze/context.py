"""One request to the local Coze: who asks, what for, and which faults it suffers."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import cast

from flask import Response, g, request

from sandbox.coze.delivery import Line
from sandbox.coze.errors import Refusal
from sandbox.coze.faults import FAULTS, Fault, Plan, read_directives
from sandbox.coze.state import Identity, Json, LocalCoze

SHARED_FAULTS = {"workflow_chat": "chat", "submit": "chat"}
"""Endpoints that suffer the faults queued for another one."""
WITH_WORDS = frozenset({"chat", "workflow_chat", "workflow_run", "workflow_stream"})
"""Endpoints whose request holds a customer's words, which may hold directives."""


@dataclass(slots=True)
class Call:
    """The request being served. `body` is its JSON object without directives, empty when it has none."""

    who: Identity
    plan: Plan
    line: Line
    body: Json
    delivered: bool = False


def current() -> Call:
    return cast(Call, g.call)


def open_call(coze: LocalCoze) -> Call:
    """The call with its faults; Refusal 4000 for a directive that names no fault."""
    endpoint = request.endpoint or ""
    body = request.get_json(silent=True)
    call = Call(Identity(), Plan(), Line(request.environ.get("werkzeug.socket")), {})
    g.call = call
    if isinstance(body, dict):
        call.body = body
    queued = coze.faults.take(SHARED_FAULTS.get(endpoint, endpoint))
    faults = [queued] if queued else []
    delay, pace = 0.0, None
    for verb, name, params in _directives(call.body) if endpoint in WITH_WORDS else ():
        if verb == "delay":
            delay = _seconds(name)
        elif verb == "pace":
            pace = _seconds(name)
        elif name not in FAULTS:
            raise Refusal(4000, f"unknown fault: {name}")
        elif params.get("on", FAULTS[name].home) in {"chat", endpoint}:
            faults.append(Fault(name, params))
        else:
            _queue_for_later(coze, name, params)
    call.plan = Plan(faults, delay, pace)
    return call


def envelope(data: object, **more: object) -> Response:
    """Success in the platform's shape."""
    return as_json({"code": 0, "msg": "", "data": data, **more, "detail": {"logid": logid()}})


def refusal(refused: Refusal) -> Response:
    """An error in the platform's shape."""
    shown = {"code": refused.code, "msg": refused.msg, "detail": {"logid": logid()}}
    return as_json(shown, refused.status)


def as_json(body: object, status: int = 200) -> Response:
    data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return Response(data, status, content_type="application/json; charset=utf-8")


def logid() -> str:
    """This request's log id, as the support of the platform would ask for."""
    if "logid" not in g:
        g.logid = time.strftime("%Y%m%d%H%M%S") + secrets.token_hex(10).upper()
    return str(g.logid)


def text_of(body: Json, key: str, required: bool = True) -> str:
    """A string field; Refusal 4000 for another type, or when it is missing and required."""
    value = body.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise Refusal(
            4000, f"{key} is required and must be a string" if required else f"{key} must be a string"
        )
    return value


def meta_data_of(body: Json) -> dict[str, str]:
    """At most 16 pairs of strings, keys up to 64 and values up to 512 characters; Refusal 4000 or 4003."""
    found = body.get("meta_data") or {}
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise Refusal(4000, "meta_data must be a map of strings")
    if len(found) > 16 or any(not 1 <= len(key) <= 64 for key in found):
        raise Refusal(4003)
    if any(not 1 <= len(value) <= 512 for value in found.values()):
        raise Refusal(4003)
    return {str(key): str(value) for key, value in found.items()}


def _directives(body: Json) -> list[tuple[str, str, dict[str, str]]]:
    """Takes the directives out of the words of the request and returns them."""
    found: list[tuple[str, str, dict[str, str]]] = []

    def strip(holder: Json, key: str) -> None:
        text = holder.get(key)
        if isinstance(text, str):
            holder[key], read = read_directives(text)
            found.extend((each.verb, each.name, dict(each.params)) for each in read)

    messages = body.get("additional_messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            strip(message, "content")
    parameters = body.get("parameters")
    for key in list(parameters) if isinstance(parameters, dict) else ():
        strip(cast(Json, parameters), key)
    return found


def _queue_for_later(coze: LocalCoze, name: str, params: dict[str, str]) -> None:
    on = params.pop("on", None)
    try:
        coze.faults.queue(name, on=on, **params)
    except ValueError as wrong:
        raise Refusal(4000, str(wrong)) from wrong


def _seconds(text: str) -> float:
    try:
        return max(0.0, min(float(text), 3600.0))
    except ValueError as wrong:
        raise Refusal(4000, f"not a number of seconds: {text}") from wrong
