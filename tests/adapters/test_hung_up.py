"""A caller that has hung up is noticed before an answer is counted as given."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from adapters.base import hung_up


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
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
