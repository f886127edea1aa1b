"""What every call of WeChat's API has in common: its token, its body, and the form of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from flask import Response, request

from sandbox.wechat.errcodes import Refusal
from sandbox.wechat.local import LocalWeChat

ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})")


def read_body() -> dict[str, Any]:
    """The JSON object, with `\\uXXXX` left as it stands: WeChat shows such escapes to the follower."""
    try:
        text = request.get_data().decode()
        body = json.loads(ESCAPE.sub(r"\1\\\\u\2", text))
    except ValueError:
        raise Refusal(47001) from None
    if not isinstance(body, dict):
        raise Refusal(47001)
    return body


def check_token(wechat: LocalWeChat) -> None:
    """Raises the `Refusal` that the call's access token earns, or that a test has ordered for this path."""
    wechat.tokens.check(request.args.get("access_token", ""))
    ordered = wechat.faults.errcodes.get(request.path)
    if ordered and (errcode := ordered.pop(0)):
        raise Refusal(errcode)


def check_verified(wechat: LocalWeChat) -> None:
    """Raises `Refusal` 48001 for an account that may not."""
    if not wechat.verified:
        raise Refusal(48001)


def ok(**more: object) -> Response:
    """Done, and what came of it."""
    return as_json({"errcode": 0, "errmsg": "ok", **more})


def as_json(body: Mapping[str, object]) -> Response:
    """JSON as WeChat sends it."""
    return Response(json.dumps(body, ensure_ascii=False), content_type="application/json; encoding=utf-8")
