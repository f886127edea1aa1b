"""Around the application: each request gets its id, and each response the headers that all of them have.

At WSGI's level, because the framework's hooks cost as much as everything else that it does for a request.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from adapters.base import REQUEST_ID
from ops.logs import request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
"""What a caller may call its request; else it gets a name of ours."""
HEADERS = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
"""Unless the response says otherwise itself."""


class CommonHeaders:
    """Wraps an application."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        name = given if GIVEN.fullmatch(given) else os.urandom(16).hex()
        environ[REQUEST_ID] = name
        request_id.set(name)

        def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Any:
            said = {each.lower() for each, _ in headers}
            headers += [each for each in HEADERS if each[0].lower() not in said]
            headers.append(("X-Request-Id", name))
            return start_response(status, headers, *failure)

        return self._application(environ, start)
