"""Whether a request that a cookie speaks for was made by a page of ours.

SameSite=Strict keeps cookies from other sites; this also refuses other hosts of the same site, and browsers
that do not know SameSite.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Request

from errors import Forbidden

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def require_own_page(request: Request, public_url: str) -> None:
    """Raises `Forbidden` unless the request changes nothing, or comes from a page of this very origin."""
    if request.method in SAFE:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        own = site == "same-origin"
    else:
        # older browsers; and one that says neither is no browser of ours
        own = request.headers.get("Origin") in {_origin(request.host_url), _origin(public_url)} - {""}
    if not own:
        raise Forbidden("this request did not come from a page of the desk")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
