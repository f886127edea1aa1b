"""The page `/sandbox`: one customer of each platform, and all that goes over the wire. Development only.

The browser speaks to 易事厅's and the web's endpoints itself; a follower of the official account speaks to
the local WeChat, which these views pass on. No view here touches the gateway's own parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests
from flask import Blueprint, Response, jsonify, render_template, request

from settings import DEVELOPMENT_KEY, Settings

BODY_CAP = 32 * 1024
TIMEOUT = (2, 30)
"""Connect and read seconds: WeChat itself takes up to three times five."""
OPENID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
CONTENT_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)


def create_blueprint(settings: Settings) -> Blueprint:
    """The page for these settings, under `/sandbox`."""
    page = Blueprint(
        "sandbox",
        __name__,
        url_prefix="/sandbox",
        static_folder="static",
        static_url_path="/static",
        template_folder="templates",
    )
    local_wechat = f"http://127.0.0.1:{settings.sandbox_wechat_port}"

    @page.get("")
    @page.get("/")
    def index() -> str:
        # a key somebody chose is a secret; the development key is printed at every start
        key = "" if settings.api_keys else DEVELOPMENT_KEY
        return render_template("sandbox/page.html", settings=settings, log_key=key)

    @page.get("/widget")
    def widget() -> str:
        lang = "en" if request.args.get("lang") == "en" else "zh"
        return render_template("sandbox/widget.html", lang=lang, base=request.host_url.rstrip("/"))

    @page.post("/wechat/send")
    def send() -> tuple[Response, int]:
        request.max_content_length = BODY_CAP
        order = request.get_json(silent=True)
        if not isinstance(order, dict) or not _is_openid(order.get("openid")):
            return _problem("a JSON object with openid is needed", 400)
        return passed_on("POST", "/_sandbox/send", json=order)

    @page.get("/wechat/inbox")
    def inbox() -> tuple[Response, int]:
        openid = request.args.get("openid", "")
        if not _is_openid(openid):
            return _problem("openid is needed", 400)
        return passed_on("GET", "/_sandbox/inbox", params={"openid": openid})

    @page.get("/yishiting/inbox")
    def late_answers() -> tuple[Response, int]:
        user = request.args.get("user", "")
        return passed_on("GET", "/_desk/callbacks", params={"user": user[:128]})

    def passed_on(
        method: str, path: str, json: object = None, params: Mapping[str, str] | None = None
    ) -> tuple[Response, int]:
        if not settings.sandbox_wechat:
            return _problem("a real official account is configured: write to it with WeChat itself", 409)
        try:
            answer = requests.request(method, local_wechat + path, json=json, params=params, timeout=TIMEOUT)
            return jsonify(answer.json()), answer.status_code
        except (requests.RequestException, ValueError):
            return _problem("the local WeChat does not answer: start it with `python -m sandbox`", 502)

    @page.after_request
    def restrict(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CONTENT_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    return page


def _is_openid(value: object) -> bool:
    return isinstance(value, str) and OPENID.fullmatch(value) is not None


def _problem(words: str, status: int) -> tuple[Response, int]:
    return jsonify(error=words), status
