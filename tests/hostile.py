"""What attackers send and what bots may be talked into saying, and the marks of a leak."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import random
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from werkzeug.test import run_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

ROOT = Path(__file__).parent.parent

ANSWERS = {
    "end of CDATA": "a ]]> b ]]]]>> c",
    "closing tag": "</xml></Content><MsgType>event</MsgType>",
    "NUL and controls": "a\x00b\x01c\x0bd\x1be\ufffef",
    "lone surrogate": "a\ud800b\udc00c",
    "emoji of several code points": "👩‍👩‍👧‍👦 🇨🇳 👍🏽 𠮷",
    "right to left": "‏שלום‎ ‮evil.exe‬ مرحبا",
    "line ends": "one\r\ntwo\rthree\n\ndata: four\n\nevent: five\u2028six",
    "HTML": "<script>alert(1)</script><a href='javascript:1' onclick=\"x\">&amp; &#0;",
    "JSON": '{"error":{"code":"x"}} \\" \\u0000 \n[DONE]',
    "template": "{{7*7}} ${7*7} %s %(x)s {0}",
    "50 kB": "长" * 16_000 + "end",
}
"""Answers that a bot may be talked into giving."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the platform would make it."""

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line."""
        return self.path + (f"?{urlencode(self.query)}" if self.query else "")

    def run(self, app: WSGIApplication) -> tuple[int, bytes]:
        """Status and body, without a test client: with thousands of calls that is most of the time."""
        environ = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": urlencode(self.query),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(self.body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": sys.stderr,
        }
        for name, value in self.headers.items():
            plain = name.upper().replace("-", "_")
            environ[plain if plain == "CONTENT_TYPE" else f"HTTP_{plain}"] = value
        body, status, _ = run_wsgi_app(app, environ)
        return int(status[:3]), b"".join(body)


def assert_discreet(body: bytes) -> None:
    """No trace of how we are built."""
    for mark in (b"Traceback", b"site-packages", b'File "', b".py", str(ROOT).encode(), b"Werkzeug"):
        assert mark not in body, mark


def spellings(secret: str) -> set[str]:
    """How a secret may look when it leaks."""
    raw = secret.encode()
    return {secret, quote(secret, safe=""), base64.b64encode(raw).decode(), raw.hex(), secret.split("_")[-1]}


def status_of(url: str, call: Call, headers: Mapping[str, str], sent: bytes) -> int:
    """The status for exactly these bytes on a socket: no client would send such framing for us."""
    address = urlsplit(url)
    lines = {**call.headers, "Host": address.netloc, "Connection": "close", **headers}
    head = f"{call.method} {call.target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        # the server may answer and hang up before it has read everything
        with contextlib.suppress(ConnectionError):
            connection.sendall(head.encode("latin-1") + b"\r\n" + sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status


# fmt: off
NASTY = (
    b"null", b"{}", b"[]", b"true", b"-1", b"1e999", b"9" * 400, b"\x00", b"\xff\xfe", b"\xed\xa0\x80",
    b"\\ud800", b"\xef\xbb\xbf", b"[" * 3000, b'{"a":' * 3000, b"<a>" * 3000, b"]]>", b"<![CDATA[",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&#0;", b"&b;", b"'", b'"', b"<", b">", b"\r\n", b"x" * 30_000,
)
# fmt: on
"""What stands where something else was expected."""
TOKEN = re.compile(rb"[\w.]+|[^\w\s]")


def mutated(original: bytes, chance: random.Random) -> bytes:
    """The message with one to three things done to it that no honest sender does."""
    body = bytearray(original)
    for _ in range(chance.choice((1, 1, 2, 3))):
        start = chance.randrange(len(body) + 1)
        end = min(len(body), start + chance.choice((0, 1, 1, 4, 30)))
        match chance.randrange(7):
            case 0 if body:
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            case 1:
                del body[start:end]
            case 2:
                body[start:start] = body[start:end] * chance.choice((1, 2, 50))
            case 3:
                body[start:end] = chance.randbytes(chance.choice((1, 2, 8)))
            case 4:
                body[start:end] = chance.choice(NASTY)
            case 5:
                del body[start:]
            case _:
                # a whole value or sign of the format's own is the likeliest to get past the parser
                token = chance.choice(list(TOKEN.finditer(bytes(body))) or [None])
                if token is not None:
                    body[token.start() : token.end()] = chance.choice(NASTY)
    return bytes(body)
