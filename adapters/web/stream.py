"""The streamed answer: frames that a reader which was cut off can go on from.

Each frame has an id, `<message id>.<n>`: n characters of the answer were sent when it was through. Whoever
comes back with it gets the rest, from whichever process, because an answer's text never changes once shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from adapters.base import as_json
from errors import BadRequest
from handler.message import MANUAL, Reply, remainder
from handler.run import Follows

QUIET_SECONDS = 15.0
"""Silence after which a comment line keeps proxies from closing the stream."""
KEEP_ALIVE = b": keep-alive\n\n"
EVENT_ID = re.compile(r"([A-Za-z0-9_.:-]{1,128})\.([0-9]{1,8})", re.ASCII)


def frame(content: object, event_id: str | int) -> bytes:
    """One event."""
    return f"id: {event_id}\n".encode() + b"data: " + as_json(content) + b"\n\n"


def place(event_id: str) -> tuple[str, int]:
    """Message id and characters sent, of a frame's id. Raises `BadRequest`."""
    found = EVENT_ID.fullmatch(event_id)
    if found is None:
        raise BadRequest("Last-Event-ID: is not one of this stream")
    return found[1], int(found[2])


def in_manual_mode(reply: Reply) -> str:
    """What a client reads whose message was left to a person."""
    return f"SESSION_IN_MANUAL_MODE: {MANUAL[reply.source]}"


class Told:
    """What of an answer has been said to one reader, who had `start` characters when it came."""

    def __init__(self, message_id: str, start: int) -> None:
        self.message_id = message_id
        self._start = start
        self._length = 0

    def piece(self, text: str) -> bytes:
        """The frame of the next piece; empty when the reader has all of it."""
        fresh = text[max(0, self._start - self._length) :]
        self._length += len(text)
        return frame({"type": "message", "content": fresh}, self.event_id) if fresh else b""

    def ending(self, reply: Reply, streamed: str) -> Iterator[bytes]:
        """What is left to say, and that it is over; what was told is the beginning of what was `streamed`."""
        if reply.source in MANUAL:
            yield frame({"type": "error", "content": in_manual_mode(reply)}, self.event_id)
            return
        if reply.error is not None:
            yield frame({"type": "error", "content": reply.text}, self.event_id)
            return
        if last := self.piece(remainder(streamed[: self._length], reply)):
            yield last
        more = {"suggestions": list(reply.suggestions)} if reply.suggestions else {}
        yield frame({"type": "done", "content": "", **more}, self.event_id)

    @property
    def event_id(self) -> str:
        return f"{self.message_id}.{max(self._length, self._start)}"


def answer_frames(
    run: Follows,
    told: Told,
    seconds_left: float | None,
    give_up: Reply,
    news: Callable[[], Iterable[bytes]] = tuple,
) -> Iterator[bytes]:
    """The frames of a run; `give_up` is said when it has no end within `seconds_left`.

    `news` makes the frames that come before the end of an answer that a person cut short.
    """
    quiet = 0.0
    with run.taking("stream"):
        for text in run.deltas(heartbeat=QUIET_SECONDS):
            if not text:
                yield KEEP_ALIVE
                quiet += QUIET_SECONDS
                if seconds_left is not None and quiet >= seconds_left:
                    break
            elif piece := told.piece(text):
                yield piece
    reply = run.wait(0) or give_up
    if reply.source in MANUAL:
        yield from news()
    yield from told.ending(reply, run.streamed)
