"""HTTP towards Coze: connections, time limits, and the translation of every failure into `coze.errors`.

The only file here that knows urllib3. `requests` around it would make each call half as dear again, for
cookies, proxies and redirects that are never wanted. It knows nothing of endpoints, tokens' origin, or what
a body means.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cached_property
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import certifi
import orjson
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Retry, Timeout, encode_multipart_formdata
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
    URLSchemeUnknown,
)
from urllib3.util import parse_url

from coze.breath import breath
from coze.connections import PlainPool, SecurePool, trusting
from coze.errors import CozeError, Disconnected, Malformed, TimedOut, TooLarge, Truncated, Unreachable
from coze.retries import seconds_left
from rounds import Rounds

PIECE = 65_536
"""Most bytes of one read; a read gives back what is there and does not wait for more."""
BODY_CAP = 16 << 20
"""Bytes of a JSON answer: a workflow may return a lot."""
ERROR_CAP = 65_536
"""Bytes read of the body of a failure; its first lines say everything."""
POOL = 6_000
"""Idle connections kept: as many as streams run at once, or each further stream pays for a TLS handshake."""
SHORT_SECONDS = 1.0
"""A wait shorter than this is timed by its socket, to the millisecond; a longer one by the watch."""
LOOK_SECONDS = 0.25
"""Between two looks of the watch: so much later than it should a long wait may end."""
DRAIN_SECONDS = 0.05
"""How long a finished stream may take to end, so that its connection can be used again."""


class Incoming:
    """One response whose body has not been read. Always close it, best by `with`."""

    def __init__(
        self,
        response: BaseHTTPResponse,
        read_timeout: float,
        deadline: float | None,
        limit: float,
        watch: Rounds[Incoming],
    ) -> None:
        self.status = response.status
        self.content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self.logid = response.headers.get("x-tt-logid", "")
        self.retry_after = _retry_after(response.headers.get("Retry-After", ""))
        self.deadline = deadline
        self._response = response
        self._pieces = _pieces(response)
        self._read_timeout = read_timeout
        self._limit: float | None = limit
        """What the socket waits for one read now, in seconds; None for ever."""
        self._ended = False
        self._until = math.inf
        """`time.monotonic()` at which the read that waits has lasted long enough."""
        self._given_up = False
        self._pausing: Any = None
        """The socket that pauses for us."""
        self._watch = watch
        watch.enter(self)

    def read(self) -> bytes:
        """What has arrived, of a chunked body one chunk; waits for it. Empty at the end of the body.

        Raises `TimedOut` after silence or at the deadline, `Truncated` when the connection breaks.
        """
        now, limit = time.monotonic(), self._read_timeout
        if self.deadline is not None and (limit := min(limit, self.deadline - now)) <= 0:
            raise TimedOut("the deadline came while the answer was being read", logid=self.logid)
        if limit < SHORT_SECONDS or self._limit is not None:
            self._wait_at_most(limit)
        self._until = now + limit
        try:
            piece = next(self._pieces, b"")
        except (HTTPError, OSError) as problem:
            if self._given_up or isinstance(problem, ReadTimeoutError):
                raise TimedOut("no more bytes came in time", logid=self.logid) from None
            raise Truncated(f"the connection broke: {type(problem).__name__}", logid=self.logid) from None
        finally:
            self._until = math.inf
        if not piece:
            if self._given_up:
                # a body without a length ends with its connection
                raise TimedOut("no more bytes came in time", logid=self.logid)
            self._ended = True
            self.hasten()
        return piece

    def relax(self) -> None:
        """Nobody waits for the very next piece from now on: in a crowd it is read with those after it."""
        if self._pausing is None and (wire := self._wire) is not None:
            self._pausing, wire.pause = wire, self._breath

    def hasten(self) -> None:
        """Each piece is waited for again."""
        if self._pausing is not None:
            self._pausing.pause = None
            self._pausing = None

    def _breath(self) -> float:
        pause = breath(len(self._watch))
        return pause if self.deadline is None or time.monotonic() + pause < self.deadline else 0.0

    def visit(self, now: float) -> None:
        """Ends a read that has waited long enough; called by the watch."""
        if now >= self._until and (wire := self._wire) is not None:
            self._given_up = True
            with suppress(OSError):
                # the plain socket's method: TLS has nothing to say any more
                socket.socket.shutdown(wire, socket.SHUT_RDWR)

    @property
    def _wire(self) -> Any:
        """The connection's socket; None once the body is complete: then it is somebody else's."""
        return getattr(self._response.connection, "wire", None)

    def _wait_at_most(self, seconds: float) -> None:
        """Sets the socket's own limit for a short wait; a long one is watched."""
        limit = seconds if seconds < SHORT_SECONDS else None
        # not for each piece: it may become five hundredths late
        if limit == self._limit or (limit and self._limit and limit <= self._limit <= limit * 1.05):
            return
        if (wire := self._wire) is not None:
            with suppress(OSError):
                wire.settimeout(limit)
                self._limit = limit

    def body(self, cap: int = BODY_CAP) -> bytes:
        """The whole body; raises `TooLarge` over `cap` bytes and what `read` raises."""
        pieces: list[bytes] = []
        size = 0
        while piece := self.read():
            pieces.append(piece)
            size += len(piece)
            if size > cap:
                raise TooLarge(f"the body is longer than {cap} bytes", logid=self.logid)
        return b"".join(pieces)

    def excerpt(self) -> bytes:
        """The beginning of the body of a failure, as far as it comes; never raises."""
        pieces: list[bytes] = []
        try:
            while sum(map(len, pieces)) < ERROR_CAP and (piece := self.read()):
                pieces.append(piece)
        except CozeError:
            # half an explanation is better than an error about the explanation
            return b"".join(pieces)
        return b"".join(pieces)

    def drain(self) -> None:
        """Reads the end of a finished body if it is there, which gives the connection back to the pool."""
        self.hasten()
        self.deadline = time.monotonic() + DRAIN_SECONDS
        try:
            while not self._ended:
                self.read()
        except CozeError:
            return

    def close(self) -> None:
        """Cuts a body that is not read to its end; a finished one has given its connection back already."""
        self.hasten()
        self._watch.leave(self)
        self._response.close()
        # the pool keeps a place for it, and makes it anew when it is wanted
        self._response.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport:
    """Connections to one address of Coze, shared by all threads.

    `base` is scheme, host and perhaps a path; times are seconds. A proxy, a .netrc or a cookie of the host
    is never used: the first two would change where the token goes, and Coze needs no cookie. Raises
    `ValueError` when `base` names no host.
    """

    def __init__(self, base: str, connect_timeout: float = 5.0, read_timeout: float = 130.0) -> None:
        self.base = base.rstrip("/")
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout
        self._watch: Rounds[Incoming] = Rounds("watch", lambda _: LOOK_SECONDS)
        self._address = parse_url(self.base)
        if not self._address.scheme or not self._address.host:
            raise LocationValueError(f"{self.base!r} is no address: it begins with https:// and a host")
        self._prefix = self._address.path or ""
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "yingda"}

    @cached_property
    def _pool(self) -> HTTPConnectionPool:
        """Raises `ValueError` when `base` is of another protocol."""
        scheme, _, host, port, *_ = self._address
        # each failure comes as it is, and whoever asked decides whether to ask again
        never = Retry(False)
        if scheme == "http":
            return PlainPool(host or "", port or 80, maxsize=POOL, retries=never)
        if scheme == "https":
            # certifi's authorities and no others: those that the host's environment names count for nothing
            return SecurePool(
                host or "",
                port or 443,
                maxsize=POOL,
                retries=never,
                cert_reqs="CERT_REQUIRED",
                ssl_context=trusting(certifi.where()),
            )
        raise URLSchemeUnknown(scheme or "")

    def send(
        self,
        method: str,
        path: str,
        bearer: str,
        *,
        query: Mapping[str, str] | None = None,
        json: object = None,
        file: tuple[str, bytes, str] | None = None,
        deadline: float | None = None,
        read_timeout: float | None = None,
    ) -> Incoming:
        """Sends one request and returns when the head of the answer is there, whatever its status.

        `json` is the body, or `file` as (name, content, MIME type) in a form. Redirects are not followed.
        Raises `Unreachable`, `Disconnected`, `TimedOut` or `Malformed`.
        """
        url = f"{self._prefix}{path}?{urlencode(query)}" if query else f"{self._prefix}{path}"
        headers = {**self._headers, "Authorization": f"Bearer {bearer}"}
        body = None
        if file is not None:
            body, headers["Content-Type"] = encode_multipart_formdata({"file": file})
        elif json is not None:
            body, headers["Content-Type"] = orjson.dumps(json), "application/json"
        left = seconds_left(deadline)
        if left <= 0:
            raise TimedOut("no time was left to call Coze")
        silence = self.read_timeout if read_timeout is None else read_timeout
        limit = min(silence, left)
        try:
            response = self._pool.urlopen(
                method,
                url,
                body,
                headers,
                redirect=False,
                timeout=Timeout(connect=min(self.connect_timeout, left), read=limit),
                preload_content=False,
            )
        except (HTTPError, OSError, ValueError) as problem:
            raise _translated(problem, deadline) from None
        try:
            return Incoming(response, silence, deadline, limit, self._watch)
        except RuntimeError:
            response.close()
            raise Unreachable("no thread can be had to watch over the answer") from None

    def close(self) -> None:
        """Closes the idle connections; whoever sends again gets new ones."""
        # a pool that nobody holds closes what it has; closed by hand it would refuse who has just taken it
        self.__dict__.pop("_pool", None)


def _pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    """The body's pieces as they come; the way for chunks costs half of the other, which reads any body."""
    if response.chunked:
        return response.read_chunked(PIECE, decode_content=True)
    return iter(lambda: response.read1(PIECE, decode_content=True), b"")


def _translated(problem: Exception, deadline: float | None) -> CozeError:
    """What a call without an answer means. No text of the library is passed on: it may quote the token."""
    if isinstance(problem, ReadTimeoutError):
        return TimedOut("no answer came in time")
    if isinstance(problem, SSLError | NewConnectionError | ConnectTimeoutError):
        if seconds_left(deadline) <= 0:
            return TimedOut("no connection in time")
        return Unreachable(f"no connection: {type(problem).__name__}")
    if isinstance(problem, ProtocolError | OSError):
        return Disconnected("the connection ended before an answer began")
    return Malformed(f"the request could not be made: {type(problem).__name__}")


def _retry_after(value: str) -> float | None:
    if not value:
        return None
    try:
        if value.isdecimal():
            return float(value[:9])
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
