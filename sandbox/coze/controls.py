"""The sandbox's own control surface under `/_sandbox`: faults by HTTP, and what was asked so far.

Used from a terminal and by tests in other processes. Only JSON bodies are read, which keeps foreign web
pages out; tokens are cut.
"""

from __future__ import annotations

import json

from flask import Blueprint, Response, request

from sandbox.coze.context import as_json
from sandbox.coze.faults import FAULTS
from sandbox.coze.state import LocalCoze, Recorded

SHOWN_OF_A_TOKEN = 11
"""Characters: the kind of the token and a few more, as much as a log may hold."""


def create_controls(coze: LocalCoze) -> Blueprint:
    """`GET faults` (what there is), `POST faults` {name, on, …}, `GET requests`."""
    controls = Blueprint("controls", __name__, url_prefix="/_sandbox")

    @controls.get("/faults")
    def listed() -> Response:
        return as_json({name: {"on": kind.home, "effect": kind.effect} for name, kind in FAULTS.items()})

    @controls.post("/faults")
    def queue() -> Response:
        asked = request.get_json(silent=True)
        if not isinstance(asked, dict) or not isinstance(asked.get("name"), str):
            return as_json({"error": "a JSON object with name is needed"}, 400)
        params = {str(key): value for key, value in asked.items() if key not in {"name", "on"}}
        on = asked.get("on")
        try:
            coze.faults.queue(asked["name"], on=str(on) if on else None, **params)
        except ValueError as wrong:
            return as_json({"error": str(wrong)}, 400)
        return as_json({"queued": asked["name"]})

    @controls.get("/requests")
    def requests() -> Response:
        return as_json({"requests": [_shown(each) for each in list(coze.requests)]})

    return controls


def _shown(recorded: Recorded) -> dict[str, object]:
    headers = dict(recorded.headers)
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if token:
        headers["Authorization"] = f"{scheme} {token[:SHOWN_OF_A_TOKEN]}…"
    return {
        "method": recorded.method,
        "path": recorded.path,
        "query": dict(recorded.query),
        "headers": headers,
        "json": json.loads(json.dumps(recorded.json)),
        "bytes": len(recorded.body),
    }
