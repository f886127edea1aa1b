"""HTML of the desk: templates with everything escaped, a policy without inline code, and form bodies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from flask import Response, redirect, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from adapters.base import read_body
from errors import BadRequest, NotFound
from support.words import LANGUAGES, WORDS, Language

HERE = Path(__file__).parent
CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
STATIC = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "workbench.css": "text/css",
    "workbench.js": "text/javascript",
    "workbench_alerts.js": "text/javascript",
    "workbench_calls.js": "text/javascript",
    "workbench_composer.js": "text/javascript",
    "workbench_dialogs.js": "text/javascript",
    "workbench_keys.js": "text/javascript",
    "workbench_parts.js": "text/javascript",
    "workbench_pictures.js": "text/javascript",
    "workbench_presence.js": "text/javascript",
}
LANGUAGE_COOKIE = "yingda_lang"
YEAR = 365 * 24 * 3600
MOST_FIELDS = 20

templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def language() -> Language:
    """What the page was asked for, what the browser keeps, or Chinese."""
    asked = request.args.get("lang") or request.cookies.get(LANGUAGE_COOKIE)
    return next((each for each in LANGUAGES if each == asked), "zh")


def words() -> Mapping[str, str]:
    """The words of the present request's language."""
    return WORDS[language()]


def page(template: str, status: int = 200, **values: object) -> Response:
    """A whole page. `done` in the query names a sentence to show."""
    said = words()
    done = said.get(f"done_{request.args.get('done', '')}", "")
    other = next(each for each in LANGUAGES if each != language())
    html = templates.get_template(template).render(
        t=said, done=done, other=other, path=request.path if request.method == "GET" else "/console", **values
    )
    response = Response(html, status=status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = CONTENT_POLICY
    # with `no-referrer` a form's Origin would be `null`, and older browsers could not sign in
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.args.get("lang") in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language(), max_age=YEAR, samesite="Strict", httponly=True)
    return response


def part(template: str, **values: object) -> str:
    """The HTML of a part of a page, in the request's language."""
    return templates.get_template(template).render(t=words(), **values)


def see(path: str) -> Response:
    """Sends the browser to another page, after a form was taken."""
    response: Response = redirect(path, 303, Response)  # type: ignore[assignment]
    response.headers["Cache-Control"] = "no-store"
    return response


def form() -> dict[str, str]:
    """The fields of a form that was sent. Raises `BadRequest`, and `PayloadTooLarge` beyond the body cap."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise BadRequest("a form is needed")
    body = read_body(request).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise BadRequest("too many fields") from None


def static(name: str) -> Response:
    """A file of the pages. Raises `NotFound`."""
    if name not in STATIC:
        raise NotFound()
    response = Response((HERE / "static" / name).read_bytes(), mimetype=STATIC[name])
    response.headers["Cache-Control"] = "public, max-age=300"
    return response
