"""Steps that the checks of faults share."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

ASKED = "今天的安排"
QUIET = 0.3
"""Seconds of silence that a client in these tests bears."""


def answer(api: Any) -> str:
    """What the bot says when nothing is wrong."""
    return api.ask(ASKED).text()[0]


def ask(api: Any, name: str, text: str = ASKED, timeout: float = 10, **params: Any) -> Any:
    api.coze.faults.queue(name, **params)
    return api.ask(text, timeout=timeout)


def whole(api: Any, name: str, **params: Any) -> Any:
    """The fault changes the form only: the answer is all there and the stream ends properly."""
    got = ask(api, name, **params)
    assert got.broken is None
    assert got.text()[-1] == answer(api)
    assert "conversation.chat.completed" in got.names
    return got


def query(api: Any) -> dict[str, str]:
    chat = api.last_chat()
    return {"conversation_id": chat.conversation_id, "chat_id": chat.id}


def chunks(api: Any, name: str) -> list[bytes]:
    """The chunks of the transfer encoding, as they were written."""
    api.coze.faults.queue(name)
    where = urlsplit(api.url)
    body = json.dumps(api.body(ASKED)).encode()
    head = (
        f"POST /v3/chat HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {api.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    rest, found = raw.partition(b"\r\n\r\n")[2], []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16):
            found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return found
