"""HTTP to addresses that came from outside: only to hosts that an operator listed, and nothing behind them.

The address of the peer is checked on the connection itself, before a byte is sent: a name that resolves to
something else a moment later gains nothing. Redirects are not followed. A failure says whether the request
can have arrived (`InDoubt`) or cannot (`NotNow`), so that nothing is posted twice.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from errors import InDoubt, NotNow, Undeliverable, UpstreamError

PORTS = {"http": 80, "https": 443}
PRIVATE = "private="
URL_CAP = 2048
ANSWER_CAP = 64 * 1024
NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for any IPv4 address, private ones included."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that one call may take."""

    connect: float = 3.0
    read: float = 8.0
    """Silence between bytes."""
    whole: float = 15.0
    """From the first attempt to connect to the last byte read."""


@dataclass(frozen=True, slots=True)
class Host:
    """One entry of an allow-list."""

    name: str
    port: int | None
    """None: the scheme's own."""
    private: bool
    """Whether it may lie in a private network: marked so, or listed by an address that shows it."""

    @classmethod
    def parse(cls, entry: str) -> Self:
        """From `host`, `host:port` or either with `private=` before it. Raises `ValueError`."""
        place = entry.strip().removeprefix(PRIVATE)
        if not place or set(place) & set("/?#@*% \t"):
            raise ValueError(f"{entry!r} is not host or host:port")
        parts = urlsplit(f"//{place}")
        name = _plain_name(parts.hostname or "")
        literal = name == "localhost" or _address(name) is not None
        return cls(name, parts.port, entry.strip().startswith(PRIVATE) or literal)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back, whatever its status."""

    status: int
    body: bytes | None
    """None when it is longer than the cap or did not arrive whole."""
    mime: str


class Outbound:
    """Calls to listed hosts; `hosts` None trusts any, for addresses of the settings themselves.

    `plain` allows http:// as well.
    """

    def __init__(
        self, hosts: Sequence[str] | None, *, plain: bool = False, patience: Patience | None = None
    ) -> None:
        self._hosts = None if hosts is None else tuple(map(Host.parse, hosts))
        self._plain = plain
        self.patience = patience or Patience()

    def check(self, url: str) -> Host:
        """The entry that allows this address. Raises `Undeliverable` when none does; nothing is sent."""
        if len(url) > URL_CAP or not url.isascii() or not url.isprintable() or set(url) & set(" \\"):
            raise Undeliverable("the address is malformed")
        try:
            parts = urlsplit(url)
            name, port = _plain_name(parts.hostname or ""), parts.port
        except ValueError:
            raise Undeliverable("the address is malformed") from None
        if parts.scheme not in PORTS or parts.username is not None or parts.password is not None:
            raise Undeliverable("the address is not a plain https:// one")
        if parts.scheme == "http" and not self._plain:
            raise Undeliverable("the address is not https://")
        if self._hosts is None:
            return Host(name, port, private=True)
        port = PORTS[parts.scheme] if port is None else port
        for each in self._hosts:
            if each.name == name and port == (PORTS[parts.scheme] if each.port is None else each.port):
                return each
        raise Undeliverable("the host of the address is not allowed")

    def post(self, url: str, body: bytes, headers: Mapping[str, str], cap: int = ANSWER_CAP) -> Answered:
        """Posts JSON once. Raises `Undeliverable`, `NotNow` or `InDoubt` when no status came back."""
        return self._call("POST", url, body, {"Content-Type": "application/json", **headers}, cap)

    def get(self, url: str, cap: int) -> Answered:
        """Fetches once; raises as `post` does."""
        return self._call("GET", url, None, {}, cap)

    def _call(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], cap: int
    ) -> Answered:
        watched = _Watched(self.check(url))
        end = threading.Timer(self.patience.whole, watched.cut)
        end.daemon = True
        end.start()
        try:
            with (
                _session(watched) as session,
                session.request(
                    method,
                    url,
                    data=body,
                    headers=dict(headers),
                    timeout=(self.patience.connect, self.patience.read),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                mime = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                return Answered(response.status_code, _read(response, cap, watched), mime)
        except requests.RequestException as problem:
            # the exception's own words quote the address, and with it what lets its bearer write
            raise _lost(problem) from None
        finally:
            end.cancel()
            watched.close()


class _Watched:
    """The sockets of one call: each is checked when it is connected, and all are cut at the deadline."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._handles: list[socket.socket] = []
        self.is_cut = False

    def __call__(self, wire: socket.socket) -> socket.socket:
        if not self._host.private and not is_public(str(wire.getpeername()[0])):
            wire.close()
            raise Undeliverable("the host lies in a private network")
        # a handle of its own: TLS takes the socket itself away
        self._handles.append(wire.dup())
        if self.is_cut:
            self.cut()
        return wire

    def cut(self) -> None:
        self.is_cut = True
        for each in self._handles:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in self._handles:
            each.close()


class _Plain(HTTPConnection):
    def __init__(self, *arguments: Any, watched: _Watched, **options: Any) -> None:
        self._watched = watched
        super().__init__(*arguments, **options)

    def _new_conn(self) -> socket.socket:
        return self._watched(super()._new_conn())


class _Secure(HTTPSConnection):
    def __init__(self, *arguments: Any, watched: _Watched, **options: Any) -> None:
        self._watched = watched
        super().__init__(*arguments, **options)

    def _new_conn(self) -> socket.socket:
        return self._watched(super()._new_conn())


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    def __init__(self, watched: _Watched) -> None:
        self._pools: dict[str, Callable[..., Any]] = {
            "http": partial(_PlainPool, watched=watched),
            "https": partial(_SecurePool, watched=watched),
        }
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=_trusted(), **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)


def _session(watched: _Watched) -> requests.Session:
    """One for each call: were a kept connection just being closed, a message's fate would be unknown."""
    session = requests.Session()
    session.trust_env = False  # a proxy of the host would be the peer whose address is checked
    session.headers.update({"User-Agent": "yingda", "Accept-Encoding": "identity"})
    adapter = _Adapter(watched)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _read(response: requests.Response, cap: int, watched: _Watched) -> bytes | None:
    body = bytearray()
    try:
        while piece := response.raw.read1(cap, decode_content=True):
            body += piece
            if len(body) > cap:
                return None
    except (HTTPError, OSError):
        return None
    return None if watched.is_cut else bytes(body)


def _lost(problem: requests.RequestException) -> UpstreamError:
    """A call without an answer. Where it broke before the request was out, nothing was done."""
    reason = getattr(problem.args[0], "reason", None) if problem.args else None
    cause = reason.args[0] if isinstance(reason, HTTPError) and reason.args else None
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return NotNow(f"the host cannot be reached: {type(reason).__name__}")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return NotNow("the host's certificate is not valid")
    if isinstance(problem, requests.exceptions.Timeout):
        return InDoubt("the host did not answer in time")
    if isinstance(problem, requests.exceptions.ConnectionError):
        return InDoubt("the connection broke before an answer came")
    return Undeliverable(f"the request cannot be made: {type(problem).__name__}")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet."""
    found = _address(address.partition("%")[0])
    if found is None:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_global and not found.is_multicast and found not in NAT64


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _plain_name(name: str) -> str:
    """One spelling for every host. Raises `ValueError` for none."""
    name = name.lower().removesuffix(".")
    if not name or len(name) > 253:
        raise ValueError("there is no host")
    return name if _address(name) is not None else name.encode("idna").decode("ascii")
