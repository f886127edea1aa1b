"""Who calls: the token and the host of a request, put to the service that knows them.

Only that service can read a token. It is asked over the address in our settings, never one that the caller
names, and its verdict is believed for a minute. Tokens are kept as hashes and stand in no log.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

import requests
from urllib3.exceptions import HTTPError

from adapters.sessions.settings import HOST
from errors import Forbidden, Unauthorized, Unavailable

CONNECT_SECONDS = 2.0
READ_SECONDS = 3.0
"""Silence between bytes."""
WHOLE_SECONDS = 5.0
BODY_CAP = 64 * 1024
BELIEVED_SECONDS = 60.0
VERDICTS = 10_000
"""How many are remembered; the oldest go first."""
TOKEN = re.compile(r"[!-~](?:[ -~]{0,4094}[!-~])?", re.ASCII)
NO = frozenset({400, 401, 403})
"""What a verifier answers when it means the token and not the way it was asked."""


class Verifier:
    """Shared by all threads. `url` may hold `{host}`: the allowed host that fits the caller's."""

    def __init__(self, hosts: Sequence[str], url: str) -> None:
        self._hosts = hosts
        self._url = url
        self._verdicts: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()
        self._lock = threading.Lock()

    def require(self, token: str, host: str) -> str:
        """The caller's host in lower case.

        `Unauthorized` or `Forbidden` when it may not call, `Unavailable` without a verdict.
        """
        if not TOKEN.fullmatch(token):
            raise Unauthorized("HtySudoerToken is missing or malformed")
        host = host.lower()
        if not HOST.fullmatch(host):
            raise Unauthorized("HtyHost is missing or malformed")
        allowed = next((each for each in self._hosts if host == each or host.endswith(f".{each}")), None)
        if allowed is None:
            raise Forbidden("HtyHost is not a host of this service")
        name = hashlib.sha256(f"{host}\n{token}".encode()).digest()
        verdict = self._known(name)
        if verdict is None:
            verdict = self._ask(token, host, self._url.replace("{host}", allowed))
            self._remember(name, verdict)
        if not verdict:
            raise Unauthorized("HtySudoerToken is not valid")
        return host

    def _known(self, name: bytes) -> bool | None:
        with self._lock:
            verdict, until = self._verdicts.get(name, (None, 0.0))
        return verdict if time.monotonic() < until else None

    def _remember(self, name: bytes, verdict: bool) -> None:
        with self._lock:
            self._verdicts.pop(name, None)
            self._verdicts[name] = (verdict, time.monotonic() + BELIEVED_SECONDS)
            while len(self._verdicts) > VERDICTS:
                self._verdicts.popitem(last=False)

    def _ask(self, token: str, host: str, url: str) -> bool:
        deadline = time.monotonic() + WHOLE_SECONDS
        with requests.Session() as session:
            session.trust_env = False  # a proxy or .netrc of the machine would change where the token goes
            try:
                with session.post(
                    url,
                    headers={"Authorization": token, "HtyHost": host, "Accept-Encoding": "identity"},
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    if response.status_code in NO:
                        return False
                    if response.status_code != 200:
                        raise Unavailable("the verifier of tokens does not work")
                    answer = json.loads(_read(response, deadline))
            except (requests.RequestException, HTTPError, OSError, ValueError, RecursionError):
                # the exception's own words may quote the token
                raise Unavailable("the verifier of tokens does not answer") from None
        if not isinstance(answer, dict):
            raise Unavailable("the verifier of tokens does not work")
        return answer.get("r") is True


def _read(response: requests.Response, deadline: float) -> bytes:
    """The whole body; `ValueError` over the cap or after the deadline, however it trickles."""
    body = bytearray()
    while piece := response.raw.read1(BODY_CAP):
        body += piece
        if len(body) > BODY_CAP or time.monotonic() > deadline:
            raise ValueError("too long")
    return bytes(body)
