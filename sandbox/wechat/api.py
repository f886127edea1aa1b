"""WeChat's API for the account, as a Flask app."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request

from sandbox.wechat.calls import as_json as _json
from sandbox.wechat.calls import check_token as _check_token
from sandbox.wechat.calls import check_verified as _check_verified
from sandbox.wechat.calls import ok as _ok
from sandbox.wechat.calls import read_body as _body
from sandbox.wechat.controls import create_controls
from sandbox.wechat.documents import Parsed
from sandbox.wechat.errcodes import Refusal
from sandbox.wechat.local import LocalWeChat
from sandbox.wechat.menus import create_menus
from sandbox.wechat.notices import create_notices
from sandbox.wechat.outcome import Bubble
from sandbox.wechat.rules import TEXT_BYTES

TICKET_SECONDS = 7200
UPLOAD_CAPS = {"image": 10 << 20, "voice": 2 << 20, "video": 10 << 20, "thumb": 64 << 10}
"""Bytes of each kind of temporary media."""
MEDIA_TYPES = {"image", "voice", "video", "mpnews"}
OTHER_TYPES = {"music", "news", "mpnewsarticle", "msgmenu", "wxcard", "miniprogrampage"}


def create_app(wechat: LocalWeChat) -> Flask:
    """The app behind `api_base`; answers as api.weixin.qq.com does."""
    app = Flask("local_wechat")
    tickets: dict[str, tuple[str, float]] = {}

    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        return _json(refusal.as_json())

    @app.post("/cgi-bin/stable_token")
    def stable_token() -> Response:
        asked = _body()
        if (fault := _token_fault(wechat)) is not None:
            return fault
        _check_client(wechat, str(asked.get("grant_type")), str(asked.get("appid")), str(asked.get("secret")))
        token, seconds = wechat.tokens.stable(asked.get("force_refresh") is True)
        return _json({"access_token": token, "expires_in": seconds})

    @app.get("/cgi-bin/token")
    def classic_token() -> Response:
        if (fault := _token_fault(wechat)) is not None:
            return fault
        _check_client(wechat, *(request.args.get(name, "") for name in ("grant_type", "appid", "secret")))
        token, seconds = wechat.tokens.classic()
        return _json({"access_token": token, "expires_in": seconds})

    @app.post("/cgi-bin/message/custom/send")
    def custom_send() -> Response:
        _check_token(wechat)
        if wechat.faults.send_errcodes and (errcode := wechat.faults.send_errcodes.pop(0)):
            raise Refusal(errcode)
        _check_verified(wechat)
        body = _body()
        wechat.receive(str(body.get("touser", "")), _bubble(wechat, body), body)
        time.sleep(wechat.faults.send_delay)
        return _ok()

    @app.post("/cgi-bin/message/custom/typing")
    def typing() -> Response:
        _check_token(wechat)
        _check_verified(wechat)
        body = _body()
        wechat.show_typing(str(body.get("touser", "")), str(body.get("command", "")))
        return _ok()

    @app.get("/cgi-bin/ticket/getticket")
    def get_ticket() -> Response:
        _check_token(wechat)
        if (kind := request.args.get("type", "")) not in ("jsapi", "wx_card"):
            raise Refusal(40097)
        now = wechat.now()
        wechat.tickets_asked += 1
        if kind not in tickets or tickets[kind][1] <= now:
            tickets[kind] = (secrets.token_urlsafe(64), now + TICKET_SECONDS)
        ticket, expires = tickets[kind]
        return _ok(ticket=ticket, expires_in=int(expires - now))

    @app.get("/cgi-bin/getcallbackip")
    def callback_addresses() -> Response:
        _check_token(wechat)
        return _json({"ip_list": ["127.0.0.1"]})

    @app.get("/cgi-bin/media/get")
    def media_get() -> Response:
        _check_token(wechat)
        media_id = request.args.get("media_id", "")
        stored = wechat.media(media_id)
        if stored.mime.startswith("video/"):
            return _json({"video_url": f"{request.host_url}_sandbox/media/{media_id}"})
        return Response(stored.data, mimetype=stored.mime)

    @app.post("/cgi-bin/media/upload")
    def media_upload() -> Response:
        _check_token(wechat)
        _check_verified(wechat)
        if (kind := request.args.get("type", "")) not in UPLOAD_CAPS:
            raise Refusal(40004)
        if (file := request.files.get("media")) is None:
            raise Refusal(41005)
        data = file.read(UPLOAD_CAPS[kind] + 1)
        if len(data) > UPLOAD_CAPS[kind]:
            raise Refusal(40009)
        media_id = wechat.add_media(data, file.mimetype or "application/octet-stream")
        return _json({"type": kind, "media_id": media_id, "created_at": int(wechat.now())})

    app.register_blueprint(create_controls(wechat))
    app.register_blueprint(create_notices(wechat, wechat.desk))
    app.register_blueprint(create_menus(wechat))
    return app


def _bubble(wechat: LocalWeChat, body: Mapping[str, Any]) -> Bubble:
    """The message as the follower will see it. Raises the `Refusal` that its content earns."""
    kind = body.get("msgtype")
    if not isinstance(kind, str) or kind not in {"text", *MEDIA_TYPES, *OTHER_TYPES}:
        raise Refusal(40008)
    content = body.get(kind)
    if not isinstance(content, dict):
        raise Refusal(47001)
    words = _words(wechat, kind, content)
    context = body.get("aimsgcontext")
    labelled = isinstance(context, dict) and context.get("is_ai_msg") == 1
    fields: dict[str, Parsed] = content
    return Bubble(kind, words, fields, "push", wechat.now(), ai=labelled)


def _words(wechat: LocalWeChat, kind: str, content: Mapping[str, Any]) -> str:
    if kind == "text":
        words = content.get("content")
        if not isinstance(words, str) or not words.strip():
            raise Refusal(44004)
        if len(words.encode()) > TEXT_BYTES:
            raise Refusal(45002)
        return words
    if kind in MEDIA_TYPES:
        wechat.media(str(content.get("media_id", "")))
    if kind != "news":
        return ""
    articles = content.get("articles")
    if not isinstance(articles, list) or not articles or not isinstance(articles[0], dict):
        raise Refusal(44004)
    if len(articles) > 1:
        raise Refusal(45008)
    return str(articles[0].get("title", ""))


def _token_fault(wechat: LocalWeChat) -> Response | None:
    time.sleep(wechat.faults.token_delay)
    if wechat.faults.token_html:
        return Response("<html><body><h1>502 Bad Gateway</h1></body></html>", mimetype="text/html")
    return None


def _check_client(wechat: LocalWeChat, grant_type: str, appid: str, secret: str) -> None:
    if grant_type != "client_credential":
        raise Refusal(40002)
    if appid != wechat.appid:
        raise Refusal(40013)
    if not hmac.compare_digest(secret.encode(), wechat.appsecret.encode()):
        raise Refusal(40125)
    if wechat.ip_whitelist is not None and request.remote_addr not in wechat.ip_whitelist:
        here = request.remote_addr
        raise Refusal(40164, f"invalid ip {here} ipv6 ::ffff:{here}, not in whitelist")
