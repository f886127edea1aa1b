"""Server-sent events, decoded as the bytes arrive. Pure: no I/O, no JSON, no meaning of any event.

The rules are those of the HTML standard, made lenient where servers of this protocol differ: records
without a blank line between them, a last record without a line end, and a JSON document where a stream
was announced.
"""

from __future__ import annotations

from typing import NamedTuple

from coze.errors import TooLarge

LINE_CAP = 1 << 20
"""Bytes of one line. Audio pieces are near 100 KB; anything over this is no answer to a customer."""
TOTAL_CAP = 16 << 20
"""Bytes of one response."""
BOM = b"\xef\xbb\xbf"
LINES = 3
"""Of a usual record: its name, its data, an empty one."""


class Event(NamedTuple):
    """One record. A tuple, because thousands of them are made each second."""

    event: str
    """The record's name; empty when it has none."""
    data: str
    """Its data lines, joined by newlines."""
    id: str
    """The id written in this very record; empty when it has none."""


class Decoder:
    """Bytes in by `feed`, events out. After the last byte, `end` gives what was still open.

    Both raise `TooLarge` when a cap is passed. A body whose first character is `{` is no stream: nothing
    comes out, and `envelope` holds the whole of it.
    """

    def __init__(self, line_cap: int = LINE_CAP, total_cap: int = TOTAL_CAP) -> None:
        self.total = 0
        """Bytes seen so far."""
        self.started = False
        """Whether anything but white space has come, which decides what the body is."""
        self.replaced = 0
        """Records in which invalid UTF-8 was replaced."""
        self._line_cap = line_cap
        self._total_cap = total_cap
        self._rest = bytearray()
        self._is_envelope = False
        self._is_open = False
        """Whether the next piece belongs to what came before."""
        self._skip_newline = False
        self._name = b""
        self._id = b""
        self._data: list[bytes] = []

    @property
    def envelope(self) -> bytes | None:
        """The JSON document that came instead of a stream; None when it is a stream."""
        return bytes(self._rest) if self._is_envelope else None

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes."""
        self._count(piece)
        if not self.started:
            piece = self._start(piece)
        elif not self._is_open and (usual := self._usual(piece)) is not None:
            return [usual]
        events = self._fed(piece)
        self._is_open = bool(
            self._rest or self._name or self._id or self._data or self._skip_newline or self._is_envelope
        )
        return events

    def passes(self, piece: bytes, heads: tuple[bytes, ...]) -> bool:
        """Whether this piece is one whole record that begins so. It is counted then, and need not be fed."""
        if (
            not piece.startswith(heads)
            or self._is_open
            or not self.started
            or not piece.endswith(b"\n\n")
            or piece.count(b"\n") != LINES
            or b"\r" in piece
            or len(piece) > self._line_cap
        ):
            return False
        self._count(piece)
        return True

    def _count(self, piece: bytes) -> None:
        self.total += len(piece)
        if self.total > self._total_cap:
            raise TooLarge(f"the response is longer than {self._total_cap} bytes")

    def _fed(self, piece: bytes) -> list[Event]:
        """The events of a piece, line by line."""
        if self._is_envelope:
            self._rest += piece
            return []
        if self._skip_newline and piece:
            # the \r that ended the last piece was a whole line end; a \n now belongs to it
            self._skip_newline = False
            if piece.startswith(b"\n"):
                piece = piece[1:]
        if b"\r" in piece:
            self._skip_newline = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in piece:
            self._rest += piece
            if len(self._rest) > self._line_cap:
                raise TooLarge(f"a line is longer than {self._line_cap} bytes")
            return []
        if self._rest:
            piece = bytes(self._rest) + piece
            self._rest.clear()
        lines = piece.split(b"\n")
        self._rest += lines.pop()
        if len(piece) > self._line_cap and max(map(len, (*lines, self._rest))) > self._line_cap:
            raise TooLarge(f"a line is longer than {self._line_cap} bytes")
        return self._take(lines)

    def end(self) -> list[Event]:
        """The events that were complete but for their line end or blank line."""
        if self._is_envelope:
            return []
        lines = [bytes(self._rest), b""]
        self._rest.clear()
        return self._take(lines)

    def _usual(self, piece: bytes) -> Event | None:
        """The event of a piece that is one whole record with a name and a line of data, as nearly all are.

        None for one to be looked at line by line.
        """
        head, _, data = piece.partition(b"\ndata:")
        if not (head.startswith(b"event:") and data.endswith(b"\n\n")) or len(piece) > self._line_cap:
            return None
        data = data[1:-2] if data.startswith(b" ") else data[:-2]
        if b"\n" in head or b"\n" in data or b"\r" in piece:
            return None
        try:
            return Event(head[6:].removeprefix(b" ").decode(), data.decode(), "")
        except UnicodeDecodeError:
            return None

    def _start(self, piece: bytes) -> bytes:
        head = bytes(self._rest) + piece
        self._rest.clear()
        if len(head) < len(BOM) and BOM.startswith(head):
            self._rest += head
            return b""
        if not head:
            return b""
        head = head.removeprefix(BOM).lstrip(b" \t\r\n")
        if head:
            self.started = True
            self._is_envelope = head.startswith(b"{")
        else:
            # the place of a byte order mark is over
            self._rest += b" "
        return head

    def _take(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            if not line:
                self._dispatch(events)
                continue
            name, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if name == b"data":
                self._data.append(value)
            elif name == b"event":
                if self._data:
                    self._dispatch(events)
                self._name = value
            elif name == b"id":
                if self._data:
                    self._dispatch(events)
                self._id = value
        return events

    def _dispatch(self, events: list[Event]) -> None:
        if self._name or self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self.replaced += 1
                text = data.decode(errors="replace")
            events.append(Event(self._name.decode(errors="replace"), text, self._id.decode(errors="replace")))
        self._name = self._id = b""
        self._data = []
