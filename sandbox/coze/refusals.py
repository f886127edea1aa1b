"""Faults that keep an endpoint from serving at all: error envelopes, bare statuses, other people's pages."""

from __future__ import annotations

from flask import Response

from sandbox.coze.context import as_json, refusal
from sandbox.coze.errors import Refusal
from sandbox.coze.faults import Fault, Plan

CODES = {401: 4100, 403: 4101, 404: 4200, 408: 5000, 429: 4020, 503: 4009}
TENGINE = """<html>
<head><title>{0}</title></head>
<body>
<center><h1>{0}</h1></center>
<hr><center>Tengine</center>
</body>
</html>
"""
REASONS = {502: "502 Bad Gateway", 504: "504 Gateway Time-out"}
TEXTS = {400: "missing required Host header", 500: "internal server error"}
LOGIN = "<!DOCTYPE html><html><head><title>登录</title></head><body><form action=/login></form></body></html>"


def refuse(plan: Plan, *, late: bool = False) -> Response | None:
    """The response instead of service, if any; `late` asks for the one that comes after the work."""
    timeout = plan.find("http_status")
    if (timeout is not None and timeout.whole("status", 500) == 504) != late:
        return None
    for fault in plan:
        refused = _response(fault)
        if refused is not None:
            return refused
    return None


def _response(fault: Fault) -> Response | None:
    match fault.name:
        case "json_error_200":
            return refusal(Refusal(fault.whole("code", 4000), fault.text("msg", ""), 200))
        case "code":
            return refusal(
                Refusal(fault.whole("code", 5000), fault.text("msg", ""), fault.whole("status", 0))
            )
        case "http_status":
            return _status(fault)
        case "html_200":
            return Response(LOGIN, 200, content_type="text/html; charset=utf-8")
        case "empty_body":
            return Response(b"", 200, content_type="application/json")
        case "broken_json":
            return Response('{"code":0,"msg":"","data":{"id":"7', 200, content_type="application/json")
        case "token_html":
            return _status(Fault("http_status", {"status": fault.whole("status", 502)}))
        case "token_empty":
            return as_json({})
        case "token_error":
            code, words = fault.text("error_code", "invalid_client"), fault.text("error_message", "refused")
            shown = {"error_code": code, "error_message": words, "error": code}
            return as_json(shown, fault.whole("status", 401))
    return None


def _status(fault: Fault) -> Response:
    status = fault.whole("status", 500)
    if status in REASONS:
        response = Response(TENGINE.format(REASONS[status]), status, content_type="text/html")
    elif status in TEXTS:
        response = Response(TEXTS[status], status, content_type="text/plain")
    else:
        response = refusal(Refusal(CODES.get(status, 5000), status=status))
    wait = fault.text("retry_after", "1" if status == 429 else "")
    if wait:
        response.headers["Retry-After"] = wait
    return response
