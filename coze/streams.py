"""Streams of a chat or a workflow run: bytes off the wire, typed events out, the connection always closed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from coze.calls import Opened
from coze.errors import CozeError, Malformed, TooLarge, Truncated
from coze.protocol import (
    DELTA,
    ChatEvent,
    Done,
    Ended,
    Failed,
    Message,
    Named,
    Whole,
    chat_event,
    chat_of,
    mapping,
)
from coze.sse import Decoder, Event
from coze.workflows import WorkflowRun

Refused = Callable[[CozeError], None]

PIECE = tuple(f"event:{space}{DELTA}\ndata:".encode() for space in ("", " "))
"""How the record of a piece begins."""


class _Stream:
    """What both kinds share: reading, hurrying, closing. Iterate once."""

    def __init__(self, opened: Opened, refused: Refused) -> None:
        self.logid = opened.incoming.logid
        """Coze's id of this request; may be empty."""
        self.malformed = 0
        """Records that could not be read and were passed over."""
        self.unknown: Counter[str] = Counter()
        """Records with names we do not know, by name."""
        self._opened = opened
        self._incoming = opened.incoming
        self._refused = refused
        self._decoder = opened.decoder
        self._known = False
        self._complete = False

    def hurry(self, seconds: float) -> None:
        """Allows the rest at most this long; never more than the deadline did. It is waited for."""
        self._incoming.hasten()
        sooner = time.monotonic() + seconds
        deadline = self._incoming.deadline
        self._incoming.deadline = sooner if deadline is None else min(deadline, sooner)

    def until(self, deadline: float) -> None:
        """Allows the rest until this moment (`time.monotonic()`), which may be later than before."""
        self._incoming.deadline = deadline

    def close(self) -> None:
        """Gives the connection back if the stream is complete, else cuts it. The chat itself goes on."""
        if self._complete:
            self._incoming.drain()
        self._incoming.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _records(self) -> Iterator[Event]:
        decoder, read = self._decoder, self._incoming.read
        try:
            yield from self._opened.first
            while piece := read():
                if not self._lays_aside(piece):
                    yield from decoder.feed(piece)
                # who waits for the next one does not keep this one
                del piece
            yield from decoder.end()
        except TooLarge as error:
            error.logid = self.logid
            raise

    def _lays_aside(self, piece: bytes) -> bool:
        """Whether these bytes need not be decoded now."""
        return False

    def _broken_off(self) -> CozeError:
        if self._incoming.content_type != "text/event-stream" and not self._known:
            return Malformed(
                f"no stream but {self._incoming.content_type or 'something unnamed'}", logid=self.logid
            )
        return Truncated("the stream ended before the answer did", logid=self.logid)


class ChatStream(_Stream):
    """A chat's events. Raises `Truncated` when the stream ends without saying so.

    Where Coze sent one JSON document instead of a stream, its chat is the only event and its failure is
    raised.
    """

    followed: Callable[[], bool] | None = None
    """Whether anybody reads the pieces as they come. Until then they are laid aside undecoded: mostly
    the whole message comes and replaces them. None: each is wanted."""

    def __init__(self, opened: Opened, refused: Refused) -> None:
        super().__init__(opened, refused)
        self._aside: list[bytes] = []

    def __iter__(self) -> Iterator[ChatEvent]:
        return self._events() if self._opened.document is None else self._from_document()

    def _events(self) -> Iterator[ChatEvent]:
        over = False
        try:
            for record in self._records():
                event = self._event(record)
                del record
                if event is None:
                    continue
                self._known = True
                if self._aside:
                    yield from self._taken_up(event)
                if isinstance(event, Message):
                    # nearly all of a stream, and never its end
                    if event.content:
                        # from the first words on there is something to read
                        self._incoming.relax()
                    yield event
                    del event
                    continue
                if isinstance(event, Failed):
                    self._refused(event.error)
                over = over or isinstance(event, Ended | Failed | Done)
                self._complete = isinstance(event, Done)
                yield event
                if self._complete:
                    return
            if not over:
                raise self._broken_off()
        except CozeError:
            # whatever happens: what came before it counts
            yield from self._taken_up()
            raise
        yield from self._taken_up()
        self._complete = True

    def _event(self, record: Event) -> ChatEvent | None:
        """What a record says; None for what says nothing, or nothing that can be read."""
        try:
            return chat_event(record, self.logid)
        except Malformed:
            self.malformed += 1
        except LookupError as name:
            self.unknown[str(name.args[0])[:64]] += 1
        return None

    def _lays_aside(self, piece: bytes) -> bool:
        if self.followed is None or self.followed() or not self._decoder.passes(piece, PIECE):
            return False
        self._aside.append(piece)
        return True

    def _taken_up(self, next_one: ChatEvent | None = None) -> Iterator[ChatEvent]:
        """The pieces laid aside, unless the next event replaces all of them."""
        aside, self._aside = self._aside, []
        if isinstance(next_one, Whole) and _says_all(next_one.message, aside):
            return
        decoder = Decoder()
        for each in aside:
            yield from filter(None, map(self._event, decoder.feed(each)))

    def _from_document(self) -> Iterator[ChatEvent]:
        chat = chat_of(mapping(mapping(self._opened.document).get("data")), self.logid)
        self._complete = True
        if chat.id:
            yield Named(chat)
        if chat.status not in {"", "created", "in_progress", "completed"} and chat.ended:
            yield Ended(chat)


def _says_all(whole: Message, pieces: Iterable[bytes]) -> bool:
    """Whether the whole message says all that these undecoded pieces of an answer say."""
    if not (whole.is_answer and whole.id):
        return False
    its_id = b'"id":"%b"' % whole.id.encode()
    return all(
        its_id in piece
        # thoughts come in pieces only
        and (b'"reasoning_content":' not in piece or b'"reasoning_content":""' in piece)
        for piece in pieces
    )


class WorkflowStream(_Stream):
    """A workflow run's pieces of text; `run` holds everything else as it comes."""

    def __init__(self, opened: Opened, refused: Refused) -> None:
        super().__init__(opened, refused)
        self.run = WorkflowRun(logid=self.logid)

    def __iter__(self) -> Iterator[str]:
        """Yields content as it comes. Raises what the run failed with, or `Truncated`."""
        if self._opened.document is not None:
            raise Malformed("a document came where a workflow was to be followed", logid=self.logid)
        for record in self._records():
            try:
                piece = self.run.take(record)
            except Malformed:
                self.malformed += 1
                continue
            self._known = True
            if self.run.error is not None:
                self._refused(self.run.error)
                raise self.run.error
            if piece:
                self._incoming.relax()
                yield piece
        if not self.run.ended:
            raise self._broken_off()
        self._complete = True
