"""An OpenAI-compatible chat endpoint, asked in Coze's place while Coze is away.

Its failures are `coze.errors` like Coze's own, so that the same transport and the same breaker serve it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from coze.errors import CozeError, Empty, HttpError, Malformed, Truncated
from coze.protocol import Json, loads_object, mapping, text
from coze.sse import Decoder, Event
from coze.transport import Incoming, Transport

PATH = "/chat/completions"
BODY_CAP = 1 << 20
"""Bytes of an answer that is not streamed; no customer reads more."""
SILENCE_SECONDS = 20.0
"""How long the endpoint may say nothing: the customer has waited for Coze already."""


class Completions:
    """One model at one address. Threads share it; the key appears in no repr and no error."""

    def __init__(self, base: str, key: str, model: str, connect_timeout: float = 5.0) -> None:
        self.model = model
        self._key = key
        self._transport = Transport(base.rstrip("/").removesuffix(PATH), connect_timeout, SILENCE_SECONDS)

    def pieces(self, messages: Sequence[Mapping[str, str]], deadline: float) -> Generator[str, None, None]:
        """The answer's pieces as they come; close the iterator to stop. `deadline` is `time.monotonic()`.

        Raises a `CozeError`: `Empty` when there was no word, `Truncated` when the answer broke off.
        """
        body = {"model": self.model, "messages": list(messages), "stream": True}
        with self._transport.send("POST", PATH, self._key, json=body, deadline=deadline) as incoming:
            if incoming.status // 100 != 2:
                raise HttpError(incoming.status, self._said(incoming), retry_after=incoming.retry_after)
            spoke = False
            for piece in self._contents(incoming):
                spoke = spoke or bool(piece.strip())
                yield piece
            if not spoke:
                raise Empty("the model said nothing")

    def _contents(self, incoming: Incoming) -> Iterator[str]:
        decoder, ended = Decoder(), False
        while piece := incoming.read():
            for event in decoder.feed(piece):
                if event.data.strip() == "[DONE]":
                    return
                said, finished = self._read(event)
                ended = ended or finished
                if said:
                    yield said
        if decoder.envelope is not None:
            # some servers answer with one document whatever was asked for
            yield from self._whole(decoder.envelope)
            return
        for event in decoder.end():
            said, finished = self._read(event)
            ended = ended or finished or event.data.strip() == "[DONE]"
            if said:
                yield said
        if not ended:
            raise Truncated("the stream ended before the answer did")

    def _read(self, event: Event) -> tuple[str, bool]:
        """What a record says, and whether it is the last that says something."""
        if not event.data or event.data.strip() == "[DONE]":
            return "", False
        choice = self._choice(loads_object(event.data.encode("utf-8", "replace")))
        return text(mapping(choice.get("delta")).get("content")), bool(choice.get("finish_reason"))

    def _whole(self, document: bytes) -> Iterator[str]:
        if len(document) > BODY_CAP:
            raise Malformed("the answer is too long")
        yield text(mapping(self._choice(loads_object(document)).get("message")).get("content"))

    def _choice(self, document: Json) -> Mapping[str, Any]:
        if document.get("error"):
            problem = mapping(document["error"])
            raise CozeError(self._masked(text(problem.get("message")) or "failed without a word"))
        choices = document.get("choices")
        return mapping(choices[0]) if isinstance(choices, list) and choices else {}

    def _said(self, incoming: Incoming) -> str:
        return self._masked(incoming.excerpt()[:400].decode("utf-8", "replace"))

    def _masked(self, words: str) -> str:
        # a server may quote the key that it refuses
        return words.replace(self._key, "***") if self._key else words

    def __repr__(self) -> str:
        return f"Completions({self.model!r})"
