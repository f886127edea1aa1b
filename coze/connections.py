"""Connections to Coze, as urllib3's pools make them: what leaves together, which idle one may be used, how
their readers pause."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from peek import peek

BUFFER = 2_048
"""Bytes that a reader takes from the kernel at once: several pieces. Each stream has a buffer of its own."""


def _silent(wire: socket.socket) -> bool:
    """Whether nothing has come that was not read yet, not even the connection's end."""
    try:
        return peek(wire) is None
    except OSError:
        return False


class _Connection(HTTPConnection):
    """Sends the head of a request together with its body: one packet, and one record of TLS."""

    wire: Any = None
    """The socket, also while it belongs to an answer that is being read."""
    _holds = False
    _head = b""

    def request(self, *arguments: Any, **options: Any) -> None:
        self._holds = True
        try:
            super().request(*arguments, **options)
            # of a request without a body
            self._flush()
        finally:
            self._holds, self._head = False, b""

    def send(self, data: Any) -> None:
        if self._holds and isinstance(data, bytes):
            self._holds, self._head = False, data
        elif self._head and isinstance(data, bytes):
            head, self._head = self._head, b""
            super().send(head + data)
        else:
            self._flush()
            super().send(data)

    @property
    def is_connected(self) -> bool:
        # one that something has come on unasked cannot be used either
        return self.sock is not None and _silent(self.sock)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            super().send(head)


class _Pausing:
    """A socket whose reader may pause when it has read everything that came."""

    pause: Callable[[], float] | None = None
    """Asked before a read how many seconds it pauses if nothing has come yet."""

    def makefile(self, mode: str = "r", buffering: int | None = None, **options: Any) -> Any:
        size = BUFFER if buffering is None else buffering
        return super().makefile(mode, size, **options)  # type: ignore[misc] # the socket's

    def recv_into(self, *arguments: Any) -> int:
        # the cheaper question first: among few nobody pauses
        if self.pause is not None and (seconds := self.pause()) and self._is_empty():
            time.sleep(seconds)
        return int(super().recv_into(*arguments))  # type: ignore[misc]

    def _is_empty(self) -> bool:
        return _silent(self)  # type: ignore[arg-type]


class _PlainSocket(_Pausing, socket.socket):
    pass


class _SecureSocket(_Pausing, ssl.SSLSocket):
    def _is_empty(self) -> bool:
        # first what was decrypted already, then what lies undecrypted
        return not self.pending() and _silent(self)


class Plain(_Connection):
    """A connection without TLS."""

    def connect(self) -> None:
        super().connect()
        made = self.sock
        limit = made.gettimeout()
        self.sock = self.wire = _PlainSocket(made.family, made.type, made.proto, made.detach())
        self.wire.settimeout(limit)


class Secure(_Connection, HTTPSConnection):
    """A connection with TLS; its context (`trusting`) makes the socket that pauses."""

    def connect(self) -> None:
        super().connect()
        self.wire = self.sock


class PlainPool(HTTPConnectionPool):
    ConnectionCls = Plain


class SecurePool(HTTPSConnectionPool):
    ConnectionCls = Secure


def trusting(authorities: str) -> ssl.SSLContext:
    """How to speak TLS with whom one of the authorities in this file vouches for.

    One for all connections, each of which would else read the file again and keep what is in it.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(authorities)
    context.sslsocket_class = _SecureSocket
    return context
