"""What a worker's connection makes of the bytes that are written to it."""

from __future__ import annotations

import errno
import runpy
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest

CONF = Path(__file__).parents[2] / "deploy" / "gunicorn.conf.py"


@pytest.fixture(scope="module")
def counted() -> type[Any]:
    """The worker's connection, which counts what it asks of the kernel."""

    class Counted(runpy.run_path(str(CONF))["Connection"]):  # type: ignore[misc] # known only when it runs
        __slots__ = ("asked",)

        def send(self, *arguments: Any) -> Any:
            self.asked.append(len(arguments[0]))
            return super().send(*arguments)

        def getsockopt(self, *arguments: Any) -> Any:
            self.asked.append(arguments)
            return super().getsockopt(*arguments)

    return Counted


@pytest.fixture
def pair(counted: type[Any]) -> Iterator[tuple[Any, Any]]:
    """The worker's end of a connection, and the client's."""
    with gevent.socket.create_server(("127.0.0.1", 0)) as server:
        client = gevent.socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    ours = counted(accepted.family, accepted.type, accepted.proto, accepted.detach())
    ours.asked = []
    with ours, client:
        yield ours, client


def test_a_frame_is_one_system_call(pair: tuple[Any, Any]) -> None:
    ours, client = pair
    ours.sendall(b"data: 1\n\n")
    assert ours.asked == [9]
    assert client.recv(100) == b"data: 1\n\n"


def test_what_no_buffer_holds_arrives_whole_and_in_order(pair: tuple[Any, Any]) -> None:
    ours, client = pair
    # counted numbers: a piece that is lost, repeated or misplaced shows
    data = b"".join(number.to_bytes(3, "big") for number in range(4_000_000))
    sender = gevent.spawn(ours.sendall, data)
    gevent.sleep(0.05)
    assert not sender.ready(), "it waits for the client to read"
    with client.makefile("rb") as reading:
        assert reading.read(len(data)) == data
    sender.get(timeout=5)
    assert len(ours.asked) > 1


def test_a_client_that_left_is_told_as_ever(pair: tuple[Any, Any]) -> None:
    ours, client = pair
    # it closes with a reset
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    gevent.sleep(0.05)
    with pytest.raises(OSError) as caught:
        ours.sendall(b"data: 1\n\n")
    assert caught.value.errno in (errno.ECONNRESET, errno.EPIPE)


def test_a_client_that_leaves_half_way_is_told_as_ever(pair: tuple[Any, Any]) -> None:
    ours, client = pair
    sender = gevent.spawn(ours.sendall, bytes(20_000_000))
    gevent.sleep(0.05)
    client.close()
    with pytest.raises(OSError) as caught:
        sender.get(timeout=5)
    assert caught.value.errno in (errno.ECONNRESET, errno.EPIPE)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def test_the_head_of_a_response_leaves_with_its_body(pair: tuple[Any, Any]) -> None:
    ours, client = pair
    ours.sendall(HEAD)
    assert ours.asked == []
    ours.sendall(b"ok")
    assert ours.asked == [len(HEAD) + 2]
    assert client.recv(100) == HEAD + b"ok"
    # and the next frame is one of its own
    ours.sendall(b"data: 1\n\n")
    assert client.recv(100) == b"data: 1\n\n"


def test_a_head_that_nothing_follows_leaves_when_the_request_is_over(pair: tuple[Any, Any]) -> None:
    ours, client = pair
    ours.sendall(HEAD)
    ours.flush()
    ours.flush()
    assert client.recv(100) == HEAD


def test_a_head_is_never_passed_by_what_comes_after_it(pair: tuple[Any, Any]) -> None:
    ours, client = pair
    ours.sendall(HEAD)
    ours.send(b"o")
    ours.sendall(HEAD)
    ours.sendall(HEAD)
    with client.makefile("rb") as reading:
        assert reading.read(3 * len(HEAD) + 1) == HEAD + b"o" + HEAD + HEAD
