"""HTTP towards Coze: connections, time limits, and the translation of every failure into `coze.errors`.

The only file here that knows `requests` and urllib3. It knows nothing of endpoints, tokens' origin, or what
a body means.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from coze.errors import CozeError, Disconnected, Malformed, TimedOut, TooLarge, Truncated, Unreachable
from coze.retries import seconds_left

PIECE = 65_536
"""Most bytes of one read; a read gives back what is there and does not wait for more."""
BODY_CAP = 16 << 20
"""Bytes of a JSON answer: a workflow may return a lot."""
ERROR_CAP = 65_536
"""Bytes read of the body of a failure; its first lines say everything."""
POOL = 1_000
"""Idle connections kept: as many as streams run at once, or each further stream pays for a TLS handshake."""
DRAIN_SECONDS = 0.05
"""How long a finished stream may take to end, so that its connection can be used again."""


def _silent(wire: socket.socket) -> bool:
    """Whether an idle connection is still open: nothing has come on it, not even its end.

    urllib3 polls, which under gevent registers a watcher and goes once around the event loop; looking at the
    first byte without waiting is one system call.
    """
    limit = wire.gettimeout()
    try:
        wire.settimeout(0.0)
        # the plain socket's method: what TLS has sent is to be seen, not to be decrypted
        socket.socket.recv(wire, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        with suppress(OSError):
            wire.settimeout(limit)
    return False


class _Plain(HTTPConnection):
    """Remembers its socket, whose time limit shrinks while a stream nears its deadline."""

    wire: Any = None

    def connect(self) -> None:
        super().connect()
        self.wire = self.sock

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and _silent(self.sock)


class _Secure(HTTPSConnection):
    """The same with TLS."""

    wire: Any = None

    def connect(self) -> None:
        super().connect()
        self.wire = self.sock

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and _silent(self.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


class Incoming:
    """One response whose body has not been read. Always close it, best by `with`."""

    def __init__(
        self, response: requests.Response, read_timeout: float, deadline: float | None, limit: float
    ) -> None:
        self.status = response.status_code
        self.content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self.logid = response.headers.get("x-tt-logid", "")
        self.retry_after = _retry_after(response.headers.get("Retry-After", ""))
        self.deadline = deadline
        self._response = response
        self._raw = response.raw
        self._pieces = _pieces(response.raw)
        self._read_timeout = read_timeout
        self._limit = limit
        """What the socket waits for one read now; seconds."""
        self._ended = False

    def read(self) -> bytes:
        """What has arrived, of a chunked body one chunk; waits for it. Empty at the end of the body.

        Raises `TimedOut` after silence or at the deadline, `Truncated` when the connection breaks.
        """
        left = seconds_left(self.deadline)
        if left <= 0:
            raise TimedOut("the deadline came while the answer was being read", logid=self.logid)
        try:
            limit = min(left, self._read_timeout)
            # not for each piece: it may become five hundredths late
            if not limit <= self._limit <= limit * 1.05:
                self._wait_at_most(limit)
            piece = next(self._pieces, b"")
        except ReadTimeoutError:
            raise TimedOut("no more bytes came in time", logid=self.logid) from None
        except (HTTPError, OSError) as problem:
            raise Truncated(f"the connection broke: {type(problem).__name__}", logid=self.logid) from None
        if not piece:
            self._ended = True
        return piece

    def _wait_at_most(self, seconds: float) -> None:
        # once the body is complete the connection is somebody else's, and its socket must be left alone
        connection = self._raw.connection
        if connection is not None and (wire := getattr(connection, "wire", None)) is not None:
            with suppress(OSError):
                wire.settimeout(seconds)
                self._limit = seconds

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
        self.deadline = time.monotonic() + DRAIN_SECONDS
        try:
            while not self._ended:
                self.read()
        except CozeError:
            return

    def close(self) -> None:
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport:
    """Connections to one address of Coze, shared by all threads.

    `base` is scheme, host and perhaps a path; times are seconds. A proxy, a .netrc or a cookie of the host
    is never used: the first two would change where the token goes, and Coze needs no cookie.
    """

    def __init__(self, base: str, connect_timeout: float = 5.0, read_timeout: float = 130.0) -> None:
        self.base = base.rstrip("/")
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(pool_connections=4, pool_maxsize=POOL)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        # copied for each request: requests' own way merges and parses what is always the same
        self._template = requests.Request("POST", self.base).prepare()
        self._template.headers["Accept-Encoding"] = "identity"
        self._template.headers["User-Agent"] = "yingda"

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
        Raises `Unreachable`, `Disconnected` or `TimedOut`.
        """
        request = self._template.copy()
        request.method = method
        request.url = f"{self.base}{path}?{urlencode(query)}" if query else f"{self.base}{path}"
        if file is not None:
            request.prepare_body(data=None, files={"file": file})
        elif json is not None:
            request.body = orjson.dumps(json)
            request.headers["Content-Type"] = "application/json"
            request.headers["Content-Length"] = str(len(request.body))
        elif method == "GET":
            request.headers.pop("Content-Length", None)
        request.headers["Authorization"] = f"Bearer {bearer}"
        left = seconds_left(deadline)
        if left <= 0:
            raise TimedOut("no time was left to call Coze")
        silence = self.read_timeout if read_timeout is None else read_timeout
        limit = min(silence, left)
        try:
            response = self._session.send(
                request,
                stream=True,
                timeout=(min(self.connect_timeout, left), limit),
                allow_redirects=False,
                proxies={},
            )
        except requests.RequestException as problem:
            raise _translated(problem, deadline) from None
        except (HTTPError, OSError, ValueError) as problem:
            # ValueError: http.client refusing what we would send; its text may quote the token
            raise Malformed(f"the request could not be made: {type(problem).__name__}") from None
        return Incoming(response, silence, deadline, limit)

    def close(self) -> None:
        """Closes the idle connections."""
        self._session.close()


def _pieces(raw: Any) -> Iterator[bytes]:
    """The body's pieces as they come; the way for chunks costs half of the other, which reads any body."""
    if raw.chunked:
        pieces: Iterator[bytes] = raw.read_chunked(PIECE, decode_content=True)
        return pieces
    return iter(lambda: raw.read1(PIECE, decode_content=True), b"")


def _translated(problem: requests.RequestException, deadline: float | None) -> CozeError:
    if isinstance(problem, requests.exceptions.ReadTimeout):
        return TimedOut("no answer came in time")
    reason = getattr(problem.args[0], "reason", None) if problem.args else None
    if isinstance(problem, requests.exceptions.SSLError | requests.exceptions.ConnectTimeout) or isinstance(
        reason, NewConnectionError | ConnectTimeoutError
    ):
        if seconds_left(deadline) <= 0:
            return TimedOut("no connection in time")
        return Unreachable(f"no connection: {type(reason or problem).__name__}")
    if isinstance(problem, requests.exceptions.ConnectionError):
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
