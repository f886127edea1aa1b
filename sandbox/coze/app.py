"""The local Coze as a Flask app: what happens around every route.

Record, take the faults, check the token; afterwards send the answer the way the faults want it.
"""

from __future__ import annotations

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from sandbox.coze import delivery
from sandbox.coze.chats import add_chats
from sandbox.coze.context import as_json, current, logid, open_call, refusal
from sandbox.coze.controls import create_controls
from sandbox.coze.conversations import add_conversations
from sandbox.coze.errors import Refusal, TokenRefusal
from sandbox.coze.framing import Frame
from sandbox.coze.media import add_media
from sandbox.coze.refusals import refuse
from sandbox.coze.state import LocalCoze, Recorded
from sandbox.coze.workflows import add_workflows

BODY_LIMIT = 64 * 1024 * 1024
"""Less than the platform's 512 MB for files: the sandbox holds them in memory."""


def create_app(coze: LocalCoze | None = None) -> Flask:
    """The app of one local Coze; without one it makes its own."""
    own = coze or LocalCoze()
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.register_blueprint(create_controls(own))
    add_chats(app, own)
    add_conversations(app, own)
    add_workflows(app, own)
    add_media(app, own)
    _add_token(app, own)
    _add_frame(app, own)
    return app


def _add_token(app: Flask, coze: LocalCoze) -> None:
    @app.post("/api/permission/oauth2/token", endpoint="token")
    def token() -> Response:
        call = current()
        slow = call.plan.find("token_slow")
        if slow:
            call.line.sleep(slow.number("seconds", 2.0))
        return as_json(coze.desk.exchange(request.headers.get("Authorization", ""), call.body, request.host))


def _add_frame(app: Flask, coze: LocalCoze) -> None:
    @app.before_request
    def receive() -> Response | None:
        if request.blueprint == "controls":
            return None
        coze.record(_recorded())
        call = open_call(coze)
        refused = refuse(call.plan)
        if refused is not None:
            return refused
        if request.endpoint not in {None, "token"}:
            call.who = coze.identify(request.headers.get("Authorization", ""))
        return None

    @app.after_request
    def send(response: Response) -> Response:
        if "call" not in g:
            return response
        call = current()
        late = refuse(call.plan, late=True)
        if late is not None:
            response, call.delivered = late, False
        if not call.delivered and any(fault.name in delivery.FAULTS for fault in call.plan):
            response = _delivered(response)
        response.headers["x-tt-logid"] = logid()
        return delivery.send_unchunked(response, call.line) if "unchunked" in call.plan else response

    @app.errorhandler(Refusal)
    def refused(error: Refusal) -> Response:
        return refusal(error)

    @app.errorhandler(TokenRefusal)
    def token_refused(error: TokenRefusal) -> Response:
        shown = {"error_code": error.error_code, "error_message": error.message, "error": error.error_code}
        return as_json(shown, error.status)

    @app.errorhandler(HTTPException)
    def unknown(error: HTTPException) -> Response:
        msg = f"The requested API endpoint {request.method} {request.path} does not exist."
        return refusal(Refusal(4000, msg if error.code == 404 else error.name, error.code or 400))


def _recorded() -> Recorded:
    return Recorded(
        request.method,
        request.path,
        dict(request.args),
        dict(request.headers),
        request.get_json(silent=True),
        request.get_data(),
    )


def _delivered(response: Response) -> Response:
    """A finished answer, sent the way the faults of its call want it."""
    call = current()
    call.delivered = True
    again = delivery.deliver(
        [Frame(response.get_data())],
        call.plan,
        call.line,
        content_type=response.content_type or "",
        status=response.status_code,
    )
    if "Retry-After" in response.headers:
        again.headers["Retry-After"] = response.headers["Retry-After"]
    return again
