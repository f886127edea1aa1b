"""One HTTP request as WeChat makes it: answered whole within its patience, or cut.

Plain `http.client` on purpose: the deadline must hold for the whole answer, however slowly it trickles.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from dataclasses import dataclass, field
from typing import IO, Any, cast
from urllib.parse import urlsplit

from sandbox.wechat.rules import Rule

ANSWER_CAP = 1 << 20
"""Bytes of an answer that are read; a genuine reply has a few KiB."""
HEADERS = {
    "User-Agent": "Mozilla/4.0",
    "Accept": "*/*",
    "Connection": "Keep-Alive",
    "Pragma": "no-cache",
    "Content-Type": "text/xml",
}
"""What WeChat's servers send with every push."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, or the rule that tells why nothing did."""

    seconds: float
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: Rule | None = None
    detail: str = ""


class _Deadlined(io.RawIOBase):
    """The receiving side of a socket, which stops reading at a moment rather than after a silence."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> IO[bytes]:
        return io.BufferedReader(self)


def _left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def call(method: str, url: str, body: bytes | None, patience: float) -> Answer:
    """One request, cut `patience` seconds after it began. Redirects are not followed."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    started = time.monotonic()
    deadline = started + patience
    connection = kind(parts.hostname or "", parts.port, timeout=patience)

    def answer(**what: Any) -> Answer:
        return Answer(time.monotonic() - started, **what)

    try:
        connection.connect()
        connection.sock.settimeout(_left(deadline))
        connection.request(method, f"{parts.path or '/'}?{parts.query}", body, HEADERS)
        wire = cast(socket.socket, _Deadlined(connection.sock, deadline))
        response = http.client.HTTPResponse(wire, method=method)
        response.begin()
        received = response.read(ANSWER_CAP)
        if response.length and len(received) < ANSWER_CAP:
            raise http.client.IncompleteRead(received, response.length)
        return answer(status=response.status, headers=dict(response.getheaders()), body=received)
    except TimeoutError:
        return answer(failure=Rule.LATE, detail=f"{patience:g} s")
    except (OSError, http.client.HTTPException) as problem:
        return answer(failure=Rule.LOST, detail=type(problem).__name__)
    finally:
        connection.close()
