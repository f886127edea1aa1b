"""A caller that has hung up is noticed before an answer is counted as given."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from adapters.base import hung_up
from tests.certificates import self_signed


@pytest.fixture(params=["plain", "tls"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    if request.param == "tls":
        certificate = self_signed("127.0.0.1")
        (tmp_path / "tls.pem").write_bytes(certificate)
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.load_cert_chain(tmp_path / "tls.pem")
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        with ThreadPoolExecutor(1) as pool:
            shaking = pool.submit(server.wrap_socket, ours, server_side=True)
            theirs = client.wrap_socket(theirs)
            ours = shaking.result()
    with ours, theirs:
        yield ours, theirs


def request_on(connection: socket.socket | None) -> Request:
    environ = EnvironBuilder().get_environ()
    if connection is not None:
        environ["gunicorn.socket"] = connection
    return Request(environ)


def test_a_caller_that_waits_in_silence_is_there(pair: tuple[socket.socket, socket.socket]) -> None:
    begun = time.monotonic()
    assert not hung_up(request_on(pair[0]))
    assert time.monotonic() - begun < 20, "looking must not wait"


def test_a_caller_that_closed_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    assert hung_up(request_on(pair[0]))


def test_a_caller_that_already_sends_its_next_request_is_there(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].sendall(b"POST")
    assert not hung_up(request_on(pair[0]))
    assert pair[0].recv(4) == b"POST", "looking must not take anything away"


def test_a_connection_closed_on_our_side_counts_as_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].close()
    assert hung_up(request_on(pair[0]))


def test_without_a_connection_to_look_at_the_caller_is_believed_there() -> None:
    assert not hung_up(request_on(None))
