"""How the endpoints about sessions answer: `success` with the data."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response

from support.routes import answered


def done(data: Mapping[str, object], status: int = 200, **beside: object) -> Response:
    """`success` with the data, and what older clients look for beside it."""
    return answered({"success": True, "data": data, **beside}, status)
