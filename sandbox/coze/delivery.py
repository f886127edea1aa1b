"""From bytes to the client: when they leave, in which pieces, and how the connection ends.

Works below HTTP where it must: only a raw socket can be reset or speak without chunks.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flask import Response

from sandbox.coze.faults import Plan
from sandbox.coze.framing import Frame, first_completed

AFTER = 4
"""Whole events before a cut by default: created, in_progress, two deltas."""
FOR_EVER = 3600.0
BEAT = 0.05
"""Seconds between two looks whether the client is still there."""

FAULTS = frozenset(
    "no_content_type wrong_content_type unchunked gzip bytewise split_utf8 slow_first_byte "
    "hang_after_headers hang_mid_stream cut_mid_event cut_mid_utf8 cut_before_completed reset".split()
)


class Line:
    """The connection of one request; without a socket (a test client) it can only break off."""

    def __init__(self, connection: socket.socket | None) -> None:
        self.connection = connection
        if connection is not None:
            # each chunk is three small writes: Nagle would hold them back for the client's delayed ack
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sleep(self, seconds: float) -> None:
        """Waits; ConnectionAbortedError as soon as the client has gone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BEAT))
            self._check()

    def hang_up(self, reset: bool = False) -> None:
        """Closes the connection under the server's feet, by RST if asked for."""
        if self.connection is None:
            return
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The server still holds the descriptor and would say FIN first: put a dead pipe's end in its place,
        # which closes the real socket now and reads as the end of the connection ever after.
        ours, other = socket.socketpair()
        with ours, other:
            os.dup2(ours.fileno(), self.connection.fileno())

    def end(self, reset: bool = False) -> None:
        """Hangs up in the middle of an answer."""
        self.hang_up(reset)
        raise ConnectionAbortedError("the sandbox was asked to break off")

    def _check(self) -> None:
        if self.connection is None or not select.select([self.connection], [], [], 0)[0]:
            return
        if not self.connection.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError("the client left")


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the answer breaks off: before byte `byte` of frame `index`."""

    index: int
    byte: int
    reset: bool = False


def deliver(
    frames: Sequence[Frame],
    plan: Plan,
    line: Line,
    *,
    started: float | None = None,
    skipped: Callable[[Frame], bool] = lambda frame: False,
    content_type: str = "text/event-stream",
    status: int = 200,
) -> Response:
    """A response that sends each frame when it is due, `started` being a monotonic time (default now)."""
    began = time.monotonic() if started is None else started
    body = _sliced(_played(frames, plan, line, began, skipped), plan)
    if "gzip" in plan:
        body = _packed(body)
    response = Response(_led(body, plan, line), status, content_type=content_type)
    if "gzip" in plan:
        response.headers["Content-Encoding"] = "gzip"
    wrong = plan.find("wrong_content_type")
    if wrong:
        response.headers["Content-Type"] = wrong.text("type", "application/json")
    if "no_content_type" in plan:
        del response.headers["Content-Type"]
    return response


def send_unchunked(response: Response, line: Line) -> Response:
    """The same response past the server, in the manner of HTTP/1.0; its headers must be complete."""
    connection = line.connection
    if connection is None:
        return response
    head = f"HTTP/1.1 {response.status}\r\n" + "".join(
        f"{key}: {value}\r\n" for key, value in response.headers
    )
    body = response.iter_encoded()

    def send() -> Iterator[bytes]:
        first = next(body, b"")  # the answer may begin late, its headers too
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode("latin-1") + first)
        for piece in body:
            connection.sendall(piece)
        line.end()
        yield b""

    return Response(send())


def _led(body: Iterator[bytes], plan: Plan, line: Line) -> Iterator[bytes]:
    slow, hang, reset = plan.find("slow_first_byte"), plan.find("hang_after_headers"), plan.find("reset")
    if slow:
        line.sleep(slow.number("seconds", 2.0))
    if reset and reset.whole("after", AFTER) == 0:
        line.end(reset=True)
    yield b""  # an empty piece makes the server send the headers
    if hang:
        line.sleep(hang.number("seconds", FOR_EVER))
    yield from body


def _played(
    frames: Sequence[Frame], plan: Plan, line: Line, began: float, skipped: Callable[[Frame], bool]
) -> Iterator[bytes]:
    cut, hang = _find_cut(frames, plan), plan.find("hang_mid_stream")
    # one frame only (a JSON body): be silent within it
    pause = min(hang.whole("after", AFTER), len(frames) - 1) if hang else -1
    for index, frame in enumerate(frames):
        wait = began + frame.at - time.monotonic()
        if wait > 0:
            line.sleep(wait)
        data = frame.data
        if cut and index == cut.index:
            yield data[: cut.byte]
            line.end(cut.reset)
        if hang and index == pause:
            yield data[: len(data) // 2]
            line.sleep(hang.number("seconds", FOR_EVER))
            data = data[len(data) // 2 :]
        if not skipped(frame):
            yield data


def _find_cut(frames: Sequence[Frame], plan: Plan) -> Cut | None:
    fault = plan.find("cut_mid_event", "cut_mid_utf8", "cut_before_completed", "reset")
    if fault is None or not frames:
        return None
    index = min(fault.whole("after", AFTER), len(frames) - 1)
    if fault.name == "cut_before_completed":
        return Cut(first_completed(frames), 0)
    if fault.name == "cut_mid_utf8":
        for late in range(index, len(frames)):
            inside = _inside_a_character(frames[late].data)
            if inside:
                return Cut(late, inside)
    return Cut(index, len(frames[index].data) // 2, reset=fault.name == "reset")


def _inside_a_character(data: bytes) -> int:
    """A place within the first character of several bytes; 0 when all are single."""
    return next((place + 1 for place, byte in enumerate(data) if byte >= 0xC0), 0)


def _sliced(body: Iterator[bytes], plan: Plan) -> Iterator[bytes]:
    for data in body:
        if "bytewise" in plan:
            yield from (data[place : place + 1] for place in range(len(data)))
        elif "split_utf8" in plan and (place := _inside_a_character(data)):
            yield data[:place]
            yield data[place:]
        else:
            yield data


def _packed(body: Iterator[bytes]) -> Iterator[bytes]:
    gzip = zlib.compressobj(wbits=31)
    for data in body:
        yield gzip.compress(data) + gzip.flush(zlib.Z_SYNC_FLUSH)
    yield gzip.flush()
