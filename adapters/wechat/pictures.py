"""Fetching a picture that a bot's answer names. The address is the bot's, so it may be anybody's.

Only public addresses are called: the name is resolved once, every address it has is checked, and the call
goes to the address that was checked. Redirects are not followed, the size is capped, and what comes must be
a picture by its first bytes, whatever its headers say. A picture that cannot be had stays a link.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.exceptions import HTTPError

from adapters.wechat.client import trusted

SIZE_CAP = 10 * 1024 * 1024
"""Bytes of a picture that WeChat takes."""
CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
WHOLE_SECONDS = 15.0
"""From the look-up of the name to the last byte: the rest of the answer waits for it."""
PIECE = 64 * 1024
AT_ONCE = 8
"""Downloads of this process; a server that trickles its headers holds its thread and no more than that."""
KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}

T = TypeVar("T")
_free = threading.BoundedSemaphore(AT_ONCE)


class NoPicture(Exception):
    """The address brings no picture that could be sent; the words say why and quote nothing of it."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    content: bytes
    mime: str


def download(url: str, *, anywhere: bool = False) -> Downloaded:
    """The picture at this address. Raises `NoPicture`.

    `anywhere` is for development: http and this machine's own network, where the sandbox is.
    """
    if not _free.acquire(blocking=False):
        raise NoPicture("too many downloads at once")
    return _within(WHOLE_SECONDS, lambda: _download(url, anywhere), ended=_free.release)


def _download(url: str, anywhere: bool) -> Downloaded:
    deadline = time.monotonic() + WHOLE_SECONDS
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise NoPicture("the address cannot be read") from None
    if parts.scheme != "https" and not (anywhere and parts.scheme == "http"):
        raise NoPicture("only https is called")
    if not host or parts.username is not None or parts.password is not None:
        raise NoPicture("the address names no plain host")
    port = port or (443 if parts.scheme == "https" else 80)
    if not anywhere and port != 443:
        raise NoPicture("only the usual port is called")
    address = _checked(host, port, anywhere)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        with _pool(parts.scheme, host, address, port) as pool:
            response = pool.urlopen(
                "GET",
                path,
                headers={"Host": parts.netloc, "User-Agent": "yingda", "Accept": "image/*"},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                return _read(response, deadline)
            finally:
                response.close()
    except (HTTPError, OSError, ValueError) as problem:
        raise NoPicture(f"it cannot be fetched: {type(problem).__name__}") from None


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, also when it is wrapped in IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        # IPv4 in IPv6's clothes: mapped, 6to4, Teredo, NAT64
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast and not found.is_reserved


def _checked(host: str, port: int, anywhere: bool) -> str:
    """One address of the host. All must be public: a name with a foot in our network is not called at all."""
    try:
        found = _within(CONNECT_SECONDS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        raise NoPicture("the host's name is unknown") from None
    addresses = [str(each[4][0]) for each in found]
    if not addresses or not (anywhere or all(map(is_public, addresses))):
        raise NoPicture("the host is not on the open internet")
    return addresses[0]


def _within(seconds: float, work: Callable[[], T], ended: Callable[[], None] = lambda: None) -> T:
    """What `work` returns or raises. After the deadline nobody waits for it: resolvers and trickling servers
    know none. `ended` is called when it really is over."""
    answer: queue.Queue[Callable[[], T]] = queue.Queue(1)

    def run() -> None:
        try:
            result = work()
            answer.put(lambda: result)
        except Exception as problem:
            answer.put(partial(_raise, problem))
        finally:
            ended()

    threading.Thread(target=run, name="picture", daemon=True).start()
    try:
        outcome = answer.get(timeout=seconds)
    except queue.Empty:
        raise NoPicture("it takes too long") from None
    return outcome()


def _raise(problem: Exception) -> NoReturn:
    raise problem


def _pool(scheme: str, host: str, address: str, port: int) -> HTTPConnectionPool:
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    if scheme == "http":
        return HTTPConnectionPool(address, port, timeout=timeout)
    return HTTPSConnectionPool(
        address,
        port,
        timeout=timeout,
        ssl_context=trusted(),
        # the certificate must be the name's, though the call goes to the address
        server_hostname=host,
        assert_hostname=host,
    )


def _read(response: BaseHTTPResponse, deadline: float) -> Downloaded:
    if response.status != 200:
        raise NoPicture(f"its server answers {response.status}")
    body = bytearray()
    while piece := response.read1(PIECE):
        body += piece
        if len(body) > SIZE_CAP:
            raise NoPicture("it is too large")
        if time.monotonic() > deadline:
            raise NoPicture("it takes too long")
    for beginning, mime in KINDS.items():
        if body.startswith(beginning):
            return Downloaded(bytes(body), mime)
    raise NoPicture("it is no PNG, JPEG or GIF")
