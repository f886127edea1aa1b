"""What is not text: an image or file, by address or as base64, on its way to the bot."""

from __future__ import annotations

import base64
import mimetypes
import re
import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from adapters.outbound import Outbound
from errors import BadRequest, PayloadTooLarge, UpstreamError

T = TypeVar("T")

DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII)
SIGNS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"%PDF-": "application/pdf",
}
"""How a file begins that comes without a name or a type."""


def fetched(content: str, name: str, outbound: Outbound, cap: int) -> tuple[str, bytes, str]:
    """Name, bytes and MIME type (perhaps empty) of what `content` holds or points to.

    Raises `BadRequest` or `PayloadTooLarge` when it holds nothing we take, `UpstreamError` when its host
    failed.
    """
    if content.startswith(("http://", "https://")):
        return _downloaded(content, name, outbound, cap)
    mime, encoded = "", content
    if (start := DATA_URL.match(content)) is not None:
        mime, encoded = start[1] or "", content[start.end() :]
    if len(encoded) > cap * 4 // 3 + 1024:
        raise PayloadTooLarge(f"content: the file is larger than {cap} bytes")
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except ValueError:
        raise BadRequest("content: is neither an address nor base64") from None
    if len(data) > cap:
        raise PayloadTooLarge(f"content: the file is larger than {cap} bytes")
    return _named(name, data, mime)


def _downloaded(url: str, name: str, outbound: Outbound, cap: int) -> tuple[str, bytes, str]:
    try:
        outbound.check(url)
    except UpstreamError as problem:
        raise BadRequest(f"content: {problem.message}") from None
    try:
        answered = outbound.get(url, cap)
    except UpstreamError:
        raise UpstreamError("content: the file could not be fetched") from None
    if answered.status != 200:
        raise UpstreamError(f"content: the file's host answered {answered.status}")
    if answered.body is None:
        raise PayloadTooLarge(f"content: the file is larger than {cap} bytes, or did not arrive whole")
    last = PurePosixPath(unquote(urlsplit(url).path)).name
    return _named(name or last, answered.body, answered.mime)


def _named(name: str, data: bytes, mime: str) -> tuple[str, bytes, str]:
    if mime in {"", "application/octet-stream"}:
        mime = next((kind for sign, kind in SIGNS.items() if data.startswith(sign)), "")
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            mime = "image/webp"
    if not PurePosixPath(name).suffix and (ending := mimetypes.guess_extension(mime)):
        name = (name or "upload") + ending
    return name, data, mime


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; `UpstreamError` when it takes longer: its result is then forgotten."""
    results: list[T] = []
    failures: list[Exception] = []

    def do() -> None:
        try:
            results.append(work())
        except Exception as problem:
            failures.append(problem)

    # the copied context carries the request id into the log
    thread = threading.Thread(target=copy_context().run, args=(do,), name="yishiting-file", daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise UpstreamError("content: the file could not be handed to the bot in time")
    return results[0]
