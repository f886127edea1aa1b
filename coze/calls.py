"""One call to Coze: the token put in, the envelope taken off, refusals turned into errors, tries repeated.

Knows no endpoint. A call that opens a stream is made once, and once more only with a new token; the other
calls are repeated as their errors allow.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from coze.auth import Credentials
from coze.errors import CozeError, Malformed, Policy, code_number, error_from
from coze.protocol import Json, loads_object, mapping, nested, text
from coze.retries import READING, Retries, seconds_left
from coze.sse import Decoder, Event
from coze.transport import Incoming, Transport

CALL_SECONDS = 20.0
"""The whole of one ordinary call, tries included."""
READ_SECONDS = 8.0
"""Silence borne in one ordinary call, so that there is time for a second try."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that Coze agreed to, or the JSON document that it sent instead."""

    incoming: Incoming
    token: str
    decoder: Decoder
    first: tuple[Event, ...] = ()
    """Records that came with the first bytes."""
    document: Json | None = None


class Calls:
    """Calls of one Coze, each in the name of a session or of the account itself (None)."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self.transport = transport
        self.credentials = credentials

    def get(
        self, path: str, query: dict[str, str], who: str | None, deadline: float | None
    ) -> tuple[Json, str]:
        """The decoded answer and its logid."""
        return self._repeated("GET", path, who, deadline, CALL_SECONDS, READING, query=query)

    def post(
        self,
        path: str,
        body: object,
        who: str | None,
        deadline: float | None,
        *,
        query: dict[str, str] | None = None,
        file: tuple[str, bytes, str] | None = None,
        seconds: float = CALL_SECONDS,
        repeatable: tuple[type[CozeError], ...] = (),
    ) -> tuple[Json, str]:
        """The decoded answer and its logid. `repeatable` as in `Retries`."""
        return self._repeated(
            "POST", path, who, deadline, seconds, repeatable, query=query, json=body, file=file
        )

    def open(
        self,
        path: str,
        body: object,
        who: str | None,
        deadline: float | None,
        query: dict[str, str] | None = None,
    ) -> Opened:
        """Posts and returns when the stream begins."""
        try:
            return self._open(path, body, who, deadline, query)
        except CozeError as error:
            if error.policy is not Policy.REFRESH or not error.retries:
                raise
        try:
            return self._open(path, body, who, deadline, query)
        except CozeError as error:
            if error.policy is Policy.REFRESH:
                error.retries = 0
            raise

    def refused(self, error: CozeError, who: str | None, token: str) -> None:
        """Drops a token that Coze does not accept; one more try is worth it if there can be another."""
        if error.policy is Policy.REFRESH:
            error.retries = int(self.credentials.discard(who, token))

    def _open(
        self, path: str, body: object, who: str | None, deadline: float | None, query: dict[str, str] | None
    ) -> Opened:
        token = self.credentials.token(who, deadline=deadline)
        incoming = self.transport.send("POST", path, token, json=body, query=query, deadline=deadline)
        try:
            decoder, first = Decoder(), []
            if incoming.status // 100 == 2:
                # the first character tells a stream from a document; the announced type often does not
                while not decoder.started and (piece := incoming.read()):
                    first = decoder.feed(piece)
                if decoder.envelope is None:
                    return Opened(incoming, token, decoder, tuple(first))
                while piece := incoming.read():
                    decoder.feed(piece)
            document = self._document(incoming, decoder.envelope, who, token)
            return Opened(incoming, token, decoder, document=document)
        except CozeError:
            incoming.close()
            raise

    def _repeated(
        self,
        method: str,
        path: str,
        who: str | None,
        deadline: float | None,
        seconds: float,
        repeatable: tuple[type[CozeError], ...],
        *,
        query: dict[str, str] | None = None,
        json: object = None,
        file: tuple[str, bytes, str] | None = None,
    ) -> tuple[Json, str]:
        deadline = time.monotonic() + min(seconds, seconds_left(deadline))
        silence = READ_SECONDS if seconds == CALL_SECONDS else seconds
        retries = Retries(deadline, repeatable)
        while True:
            try:
                token = self.credentials.token(who, deadline=deadline)
                with self.transport.send(
                    method,
                    path,
                    token,
                    query=query,
                    json=json,
                    file=file,
                    deadline=deadline,
                    read_timeout=silence,
                ) as incoming:
                    content = incoming.body() if incoming.status // 100 == 2 else None
                    document = self._document(incoming, content, who, token)
                    return document, logid_of(document, incoming)
            except CozeError as error:
                retries.wait(error)

    def _document(self, incoming: Incoming, content: bytes | None, who: str | None, token: str) -> Json:
        """The JSON object of an answer that says it is a success: by its code first, then by its status."""
        good = incoming.status // 100 == 2
        content = incoming.excerpt() if content is None else content
        try:
            document = loads_object(content)
        except Malformed:
            if good:
                raise Malformed(
                    f"no JSON: {content[:400].decode('utf-8', 'replace')}", logid=incoming.logid
                ) from None
            document = {"msg": content[:400].decode("utf-8", "replace")}
        logid = logid_of(document, incoming)
        if good and not code_number(document.get("code")) and "error_code" not in document:
            return document
        error = document_error(document, logid, incoming.status, incoming.retry_after)
        self.refused(error, who, token)
        raise error


def document_error(
    document: Json, logid: str = "", status: int = 200, retry_after: float | None = None
) -> CozeError:
    """The error in any of the envelopes."""
    code = document.get("code") or document.get("error_code")
    msg = document.get("msg") or document.get("error_message") or document.get("message")
    return error_from(code, msg, logid, status, retry_after=retry_after)


def logid_of(document: Json, incoming: Incoming) -> str:
    """Coze's id of the request, from the header or from either place in the body."""
    inner = mapping(nested(document.get("detail"))) or mapping(document.get("error"))
    return incoming.logid or text(inner.get("logid"))
