"""Connections to Coze: which idle one may be used again, and what all of them share."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import certifi
import pytest

from coze.connections import Plain, Secure, trusting
from coze.transport import Transport
from tests.coze.wire import CLOSE, SecureWire, answer_json, settled


class Far:
    """The other end of one connection, encrypted if there is a certificate."""

    def __init__(self, certificate: Path | None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.certificate = certificate
        self.accepted = threading.Event()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        self.connection = self.listener.accept()[0]
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            # a session ticket would lie unread on the connection
            context.num_tickets = 0
            self.connection = context.wrap_socket(self.connection, server_side=True)
        self.accepted.set()

    def close(self) -> None:
        self.connection.close()
        self.listener.close()


@pytest.fixture(params=["plain", "tls"])
def ends(request: pytest.FixtureRequest, certificate: Path) -> Iterator[tuple[Plain | Secure, Far]]:
    """A connection of ours and its far end."""
    tls = request.param == "tls"
    far = Far(certificate if tls else None)
    context = trusting(str(certificate)) if tls else None
    ours = Secure("localhost", far.port, ssl_context=context) if tls else Plain("localhost", far.port)
    with closing(ours), closing(far):
        ours.connect()
        assert far.accepted.wait(5)
        yield ours, far


def test_an_idle_connection_is_connected(ends: tuple[Plain | Secure, Far]) -> None:
    ours, _ = ends
    ours.wire.settimeout(7.5)
    for _ in range(100):
        assert ours.is_connected
    assert ours.wire.gettimeout() == 7.5, "looking leaves the time limit as it was"


def test_a_closed_or_speaking_far_end_is_noticed(ends: tuple[Plain | Secure, Far]) -> None:
    ours, far = ends
    ours.wire.settimeout(30)
    far.connection.sendall(b"x")
    assert settled(lambda: not ours.is_connected)
    assert ours.wire.recv(1) == b"x", "looking takes nothing away"
    assert settled(lambda: ours.is_connected)
    far.connection.close()
    assert settled(lambda: not ours.is_connected)


def test_a_connection_that_was_never_made_is_none(certificate: Path) -> None:
    assert not Plain("localhost", 1).is_connected
    assert not Secure("localhost", 1).is_connected


def test_connections_share_what_they_trust(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, file: str) -> None:
        read.append(file)
        load(context, file)

    monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    answer = [answer_json({"code": 0}, headers=CLOSE)]
    with SecureWire(certificate, answer, answer) as wire, closing(Transport(wire.address)) as transport:
        for _ in range(2):
            with transport.send("GET", "/", "pat_x") as incoming:
                assert incoming.body() == b'{"code": 0}'
    assert len(wire.seen) == 2
    assert read == [str(certificate)]
