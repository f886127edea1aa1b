"""A server that sends exactly the bytes a test wants, on a raw socket."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSED = HEAD + b"Connection: close\r\n\r\n"
END = b"0\r\n\r\n"
CLOSE = "Connection: close\r\n"
"""A header for `answer_json`: the connection ends with this answer."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(name: str, data: object) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"event:{name}\ndata:{text}\n\n".encode()


def answer_json(document: object, status: str = "200 OK", headers: str = "") -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


CREATED = event(
    "conversation.chat.created",
    {
        "id": "71",
        "conversation_id": "72",
        "status": "created",
        "completed_at": 1,
        "required_action": {"type": ""},
    },
)


def delta(text: str, key: str = "1", **more: object) -> bytes:
    message = {"id": key, "conversation_id": "72", "chat_id": "71", "role": "assistant", "type": "answer"}
    return event("conversation.message.delta", {**message, "content": text, "content_type": "text", **more})


def whole(text: str, key: str = "1", kind: str = "answer", **more: object) -> bytes:
    message = {"id": key, "conversation_id": "72", "chat_id": "71", "role": "assistant", "type": kind}
    return event(
        "conversation.message.completed", {**message, "content": text, "content_type": "text", **more}
    )


COMPLETED = event(
    "conversation.chat.completed",
    {
        "id": "71",
        "conversation_id": "72",
        "status": "completed",
        "usage": {"input_count": 3, "output_count": 4},
    },
)
DONE = event("done", '"[DONE]"')


def settled(seen: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it becomes true: what the other side did takes a moment to arrive."""
    deadline = time.monotonic() + seconds
    while not seen() and time.monotonic() < deadline:
        time.sleep(0.005)
    return seen()


@dataclass(frozen=True)
class Hang:
    """Silence for so many seconds."""

    seconds: float


NEXT = b""
"""In a script: the next request on the same connection is read first."""


@dataclass
class Seen:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """Serves one script per connection: pieces to send, `Hang`, `NEXT`; at its end the connection closes."""

    scripts: list[Iterable[bytes | Hang]]
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # a listener that is only closed leaves its accept waiting
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join(5)
        self._listener.close()

    @property
    def address(self) -> str:
        """What a client is given that is to trust this server."""
        return self.url

    def _serve(self) -> None:
        for script in self.scripts:
            connection, _ = self._listener.accept()
            if self._stop.is_set():
                connection.close()
                return
            with connection:
                self._one(connection, script)
        while not self._stop.is_set():
            self._listener.accept()[0].close()

    def _one(self, connection: socket.socket, script: Iterable[bytes | Hang]) -> None:
        reader = connection.makefile("rb")
        try:
            self._read(reader)
            for piece in script:
                if isinstance(piece, Hang):
                    self._stop.wait(piece.seconds)
                elif piece == NEXT:
                    self._read(reader)
                else:
                    connection.sendall(piece)
                    time.sleep(0.002)
        except OSError:
            return
        finally:
            reader.close()

    def _read(self, reader: BinaryIO) -> None:
        line = reader.readline().decode().strip()
        headers: dict[str, str] = {}
        while (row := reader.readline().decode().strip()) != "":
            name, _, value = row.partition(":")
            headers[name.lower()] = value.strip()
        self.seen.append(Seen(line, headers, reader.read(int(headers.get("content-length", "0")))))


class SecureWire(Wire):
    """The same over TLS, at localhost."""

    def __init__(self, certificate: Path, *scripts: Iterable[bytes | Hang]) -> None:
        super().__init__([*scripts])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)

    def _one(self, connection: socket.socket, script: Iterable[bytes | Hang]) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                super()._one(secured, script)
        except OSError:
            # the client would not speak to us
            return

    @property
    def address(self) -> str:
        return self.url.replace("http://127.0.0.1", "https://localhost")
