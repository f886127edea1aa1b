"""The Flask application: endpoints, request ids, and the last resort for errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import click
import orjson
from flask import Flask, Request, Response, request
from flask.sessions import NullSession, SecureCookieSession, SessionInterface
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from adapters.base import Adapter, Endpoints, Route
from errors import BY_STATUS, YingdaError
from ops import openapi
from ops.command_line import CommandLine
from ops.common_headers import CommonHeaders
from ops.health import Health
from ops.library_api import LibraryApi
from ops.logs import set_up_logging
from ops.message_log import MessageLogApi
from parts import Yingda, join
from settings import Settings, load_settings
from storage.log import MessageLog
from storage.unanswered import Unanswered
from support.desk_endpoints import desk_endpoints
from support.guard import Guard
from support.workbench import Workbench

log = logging.getLogger(__name__)


class RowNumber(IntegerConverter):
    """A number in an address. One that fits into no column is nobody's, like the greatest that does."""

    def to_python(self, value: str) -> int:
        return min(int(super().to_python(value)), 2**63 - 1)


class NoSessions(SessionInterface):
    """Flask's own cookie is not used: not to look for it with each request."""

    _NONE = NullSession()

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        return self._NONE


def create_app(settings: Settings | None = None, guard: Guard | None = None) -> Flask:
    """The gateway for these settings (default: the environment's). `guard` replaces the desk's own sign-in.

    Raises `ConfigurationError` when they cannot work; in production also when a secret is missing or weak.
    """
    settings = settings or load_settings()
    settings.require_fit()
    set_up_logging(settings)
    yingda = join(settings)
    guard = guard or yingda.people.guard

    app = Flask("yingda", static_folder=None)
    app.extensions["yingda"] = yingda
    app.url_map.merge_slashes = False
    app.url_map.converters["int"] = RowNumber
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies
        )
    own: list[Endpoints] = [
        MessageLogApi(MessageLog(yingda.db), yingda.keys),
        *desk_endpoints(
            yingda.desk.desk,
            yingda.dialogues,
            guard,
            settings,
            yingda.keys,
            yingda.answer,
            yingda.picture,
        ),
        LibraryApi(yingda.shelf, Unanswered(yingda.db), yingda.keys),
        Health(settings, yingda.db, yingda.intake.spool, yingda.adapters),
        yingda.people,
        Workbench(yingda.desk.desk, yingda.dialogues, yingda.quotas, yingda.people),
    ]
    for part in (*yingda.adapters, *own):
        add_routes(app, yingda, type(part).__name__, part.routes())
    app.add_url_rule("/openapi.json", "openapi", lambda: _json(openapi.document(yingda.routes)))
    app.wsgi_app = CommonHeaders(app.wsgi_app)  # type: ignore[method-assign]
    app.session_interface = NoSessions()
    app.register_error_handler(Exception, _last_resort)
    app.cli = CommandLine(_commands)
    if settings.development:
        from sandbox.page import create_blueprint

        app.register_blueprint(create_blueprint(settings), url_prefix="/sandbox")
        log.warning("development mode: loopback only, well-known credentials, sandbox open")
    return app


def add_routes(app: Flask, yingda: Yingda, part: str, routes: Sequence[Route]) -> None:
    """Registers a part's endpoints and remembers them for the OpenAPI document."""
    for number, route in enumerate(routes):
        app.add_url_rule(
            route.path,
            f"{part}.{number}",
            route.view,
            methods=list(route.methods),
            provide_automatic_options=False,
        )
        yingda.routes.append(route)


def _commands() -> Sequence[click.Command]:
    from ops.commands import commands  # here for the sake of `CommandLine`
    from support.agents_cli import agents_commands
    from support.desk_cli import desk_commands

    return *commands, agents_commands, desk_commands


def _last_resort(problem: Exception) -> Response:
    """Every error that no adapter has shaped: the framework's own, and those of the other endpoints."""
    if isinstance(problem, YingdaError):
        error = problem
    elif isinstance(problem, HTTPException):
        kind = BY_STATUS.get(problem.code or 500, YingdaError)
        error = kind()
    else:
        log.exception("failed inside")
        error = YingdaError("internal error")
    owner = _owner(request.path)
    if owner is not None:
        return owner.refuse(error)
    response = _json({"error": {"code": error.code, "message": error.message}})
    response.status_code = error.status
    return response


def _owner(path: str) -> Adapter | None:
    # a wrong method or a path below an endpoint still gets the platform's own error shape
    from flask import current_app

    yingda: Yingda = current_app.extensions["yingda"]
    for adapter in yingda.adapters:
        if any(_is_below(path, route.path) for route in adapter.routes()):
            return adapter
    return None


def _is_below(path: str, place: str) -> bool:
    """Whether a path is an endpoint's or lies below it; of one with a `<name>` counts what stands before."""
    fixed, _, named = place.partition("<")
    return path.startswith(fixed) if named else path == place or path.startswith(f"{place}/")


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), mimetype="application/json")
