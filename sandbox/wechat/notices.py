"""Template and subscription messages, as WeChat judges them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from sandbox.wechat.calls import check_token, ok, read_body
from sandbox.wechat.desk import Desk, Notified
from sandbox.wechat.errcodes import Refusal
from sandbox.wechat.local import LocalWeChat

VALUE_CHARACTERS = 20
"""Of a `thing` field; WeChat cuts or refuses longer ones."""


def create_notices(wechat: LocalWeChat, desk: Desk) -> Blueprint:
    """`template/send`, `subscribe/bizsend` and `template/subscribe`."""
    notices = Blueprint("notices", __name__, url_prefix="/cgi-bin/message")
    recent: dict[tuple[str, str], float] = {}

    def begin() -> dict[str, Any]:
        check_token(wechat)
        if not (wechat.verified and wechat.service):
            raise Refusal(48001)
        body = read_body()
        if body.get("template_id") not in desk.templates:
            raise Refusal(40037)
        return body

    def finish(kind: str, body: dict[str, Any], **told: object) -> Response:
        number = next(desk.numbers)
        desk.sent.append(Notified(kind, body["touser"], number, body))
        time.sleep(desk.delay)
        return ok(**(told or {"msgid": number}))

    @notices.post("/template/send")
    def template() -> Response:
        body = begin()
        openid = str(body.get("touser", ""))
        if not wechat.follows(openid):
            raise Refusal(43004)
        _check_data(body, desk.templates[body["template_id"]])
        if mark := str(body.get("client_msg_id", "")):
            if wechat.now() - recent.get((openid, mark), float("-inf")) < 600:
                return ok(msgid=0)
            recent[openid, mark] = wechat.now()
        return finish("template", body)

    @notices.post("/subscribe/bizsend")
    def subscription() -> Response:
        body = begin()
        openid = str(body.get("touser", ""))
        wechat.follows(openid)
        _check_data(body, desk.templates[body["template_id"]])
        if desk.agreed[openid, body["template_id"]] <= 0:
            raise Refusal(43101)
        desk.agreed[openid, body["template_id"]] -= 1
        return finish("subscription", body)

    @notices.post("/template/subscribe")
    def once() -> Response:
        body = begin()
        openid, scene = str(body.get("touser", "")), body.get("scene")
        wechat.follows(openid)
        title, data = body.get("title"), body.get("data")
        if not (isinstance(title, str) and 0 < len(title) <= 15 and isinstance(data, dict)):
            raise Refusal(47003)
        _check_data(body, frozenset({"content"}), 200)
        mark = (openid, str(body["template_id"]), int(scene or 0))
        if mark not in desk.agreed_once:
            raise Refusal(43101)
        desk.agreed_once.remove(mark)
        return finish("once", body, errcode=0)

    return notices


def _check_data(body: Mapping[str, Any], fields: frozenset[str], longest: int = VALUE_CHARACTERS) -> None:
    data = body.get("data")
    if not isinstance(data, dict) or set(data) != fields:
        raise Refusal(47003)
    for each in data.values():
        value = each.get("value") if isinstance(each, dict) else None
        if not isinstance(value, str) or not value or len(value) > longest or re.search(r"[\n\r]", value):
            raise Refusal(47003)
