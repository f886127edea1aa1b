"""Which pages of other origins may call the chat. No cookies are involved: a token says who asks."""

from __future__ import annotations

from collections.abc import Callable, Collection

from flask import Response, request

METHODS = "GET, POST, OPTIONS"
HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Api-Key, X-Request-Id"
SHOWN = "Retry-After, X-Message-Id, X-Request-Id"
PREFLIGHT_SECONDS = "600"

View = Callable[..., Response]


class Cors:
    """Answers preflights and marks answers, for the exact origins that are allowed."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def opened(self, view: View) -> View:
        """The view for pages of these origins, too."""

        def view_for_pages(**path: str) -> Response:
            if request.method == "OPTIONS":
                return self._marked(Response(status=204))
            return self._marked(view(**path))

        return view_for_pages

    def _marked(self, response: Response) -> Response:
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin", "")
        if origin not in self._origins:
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        else:
            response.headers["Access-Control-Expose-Headers"] = SHOWN
        return response
