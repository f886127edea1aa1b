"""The sandbox's own control surface under `/_sandbox`: playing a follower by HTTP.

Used by the page and from a terminal. Only JSON bodies are read, which keeps foreign web pages out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from flask import Blueprint, Response, request

from sandbox.wechat.local import LocalWeChat
from sandbox.wechat.outcome import bubble_as_json


def create_controls(wechat: LocalWeChat) -> Blueprint:
    """`POST send`, `POST verify`, `GET inbox`, `GET media/<id>`."""
    controls = Blueprint("controls", __name__, url_prefix="/_sandbox")

    @controls.post("/send")
    def send() -> Response:
        asked = request.get_json(silent=True)
        if not isinstance(asked, dict) or not isinstance(asked.get("openid"), str) or not asked["openid"]:
            return _json({"error": "a JSON object with openid is needed"}, 400)
        openid, kind, fields = asked["openid"], str(asked.get("type", "text")), asked.get("fields") or {}
        if not isinstance(fields, dict):
            return _json({"error": "fields must be an object"}, 400)
        if kind == "event":
            event, key = str(asked.get("event", "")), str(asked.get("key", ""))
            outcome = wechat.send_event(openid, event, key, fields)
        elif kind == "text":
            text, menu_id = str(asked.get("text", "")), str(asked.get("menu_id") or "")
            outcome = wechat.send_text(openid, text, menu_id=menu_id)
        else:
            outcome = wechat.send(openid, kind, fields)
        return _json(outcome.as_json())

    @controls.get("/inbox")
    def inbox() -> Response:
        bubbles = wechat.inbox(request.args.get("openid", ""))
        return _json({"bubbles": [bubble_as_json(each) for each in bubbles]})

    @controls.post("/verify")
    def verify() -> Response:
        return _json(wechat.verify_url()._asdict())

    @controls.get("/media/<media_id>")
    def media(media_id: str) -> Response:
        stored = wechat.media(media_id)
        return Response(stored.data, mimetype=stored.mime)

    return controls


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, mimetype="application/json")
