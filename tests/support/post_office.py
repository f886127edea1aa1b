"""A mail server on a real socket: takes mails, or answers as it is told."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections import deque
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast


class PostOffice:
    """`answers` are the next replies to a verb, such as `("RCPT", "550 no")`; `hangs_up` after the data."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: deque[tuple[str, str]] = deque()
        self.hangs_up = False
        office = self

        class Visit(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                if tls is not None:
                    with suppress(OSError), tls.wrap_socket(self.request, server_side=True) as sealed:
                        self.rfile, self.wfile = sealed.makefile("rb"), sealed.makefile("wb")
                        with self.rfile, self.wfile:
                            office.serve(self)
                    return
                office.serve(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Visit)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def serve(self, visit: Any) -> None:
        def say(line: str) -> None:
            visit.wfile.write(f"{line}\r\n".encode())
            visit.wfile.flush()

        say("220 here")
        for raw in visit.rfile:
            verb = raw.split()[0].decode().upper() if raw.split() else ""
            if self.answers and self.answers[0][0] == verb:
                say(self.answers.popleft()[1])
                continue
            if verb == "RCPT":
                self.recipients.append(raw.decode().split("<")[1].split(">")[0])
            if verb == "QUIT":
                say("221 bye")
                return
            if verb != "DATA":
                say("250 ok")
                continue
            say("354 go on")
            lines: list[bytes] = []
            for line in visit.rfile:
                if line == b".\r\n":
                    break
                lines.append(line)
            if self.hangs_up:
                return
            parsed = message_from_bytes(b"".join(lines), policy=policy.default)
            self.mails.append(cast("EmailMessage", parsed))
            say("250 taken")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
