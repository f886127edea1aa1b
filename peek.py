"""A look at what has come on a connection, without waiting and without taking it."""

from __future__ import annotations

import socket


def peek(connection: socket.socket) -> bytes | None:
    """The first byte that has come and was not read; empty at the connection's end, None while nothing came.

    Raises `OSError` for a connection that is closed on our side. A poll would do, but under gevent even one
    that does not wait goes around the event loop and lets everybody else run first.
    """
    limit = connection.gettimeout()
    connection.settimeout(0.0)
    try:
        # the plain socket's method: what TLS has sent is to be seen, not to be decrypted
        return socket.socket.recv(connection, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    finally:
        connection.settimeout(limit)
