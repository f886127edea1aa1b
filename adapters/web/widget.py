"""`/widget.js`: the chat that a page embeds with one script tag."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from flask import Response, request

FRESH_SECONDS = 300
"""How long a browser uses its copy unasked: a new version is everywhere soon."""
PARTS = ("widget_text.js", "widget_wire.js", "widget.js")
"""In the order in which they run: each uses what those before it declare."""
OPENING = """\
/* Yingda's chat for any page: <script src="https://…/widget.js" data-lang="zh" async></script>.
   Everything lives in a shadow root; nothing is evaluated, and no HTML is made from text. */
(() => {
"use strict";
"""


@cache
def _script() -> tuple[bytes, str]:
    content = joined(Path(__file__).parent).encode()
    return content, hashlib.sha256(content).hexdigest()[:16]


def joined(folder: Path) -> str:
    """The parts and the style sheet as one script, of which the page sees no name."""
    style = json.dumps((folder / "widget.css").read_text("utf-8"), ensure_ascii=False)
    parts = [(folder / part).read_text("utf-8") for part in PARTS]
    return "\n".join([f"{OPENING}const CSS = {style};\n", *parts, "})();\n"])


def widget_script() -> Response:
    """The script; 304 for who has it already."""
    content, mark = _script()
    response = Response(content, mimetype="text/javascript")
    response.headers["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
    # any page may load it, also with integrity and crossorigin; what it may call is another matter
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.set_etag(mark)
    response.make_conditional(request)
    return response
