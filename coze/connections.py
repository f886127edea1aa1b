"""Connections to Coze, as urllib3's pools make them: what is sent at once, and which idle one may be used."""

from __future__ import annotations

import socket
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


def _silent(wire: socket.socket) -> bool:
    """Whether an idle connection is still open: nothing has come on it, not even its end.

    urllib3 polls, which under gevent registers a watcher and goes once around the event loop; looking at the
    first byte without waiting is one system call.
    """
    limit = wire.gettimeout()
    try:
        wire.settimeout(0.0)
        # the plain socket's method: what TLS has sent is to be seen, not to be decrypted
        socket.socket.recv(wire, 1, socket.MSG_PEEK)
    except BlockingIOError:
        wire.settimeout(limit)
        return True
    except OSError:
        return False
    return False


class _InOne(HTTPConnection):
    """Sends the head of a request together with its body: one packet, and one record of TLS."""

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

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            super().send(head)


class Plain(_InOne):
    """Remembers its socket, whose time limit shrinks while a stream nears its deadline."""

    wire: Any = None

    def connect(self) -> None:
        super().connect()
        self.wire = self.sock

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and _silent(self.sock)


class Secure(_InOne, HTTPSConnection):
    """The same with TLS."""

    wire: Any = None

    def connect(self) -> None:
        super().connect()
        self.wire = self.sock

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and _silent(self.sock)


class PlainPool(HTTPConnectionPool):
    ConnectionCls = Plain


class SecurePool(HTTPSConnectionPool):
    ConnectionCls = Secure
