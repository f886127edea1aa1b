"""What an account calls WeChat with, its access token and its ticket: kept in the database, renewed by one
process for all of them.

Nothing here speaks HTTP; `fetch` is the client's matter. WeChat gives the same stable token, and the same
ticket, to everybody who asks until shortly before its end, so the worst that a lost race can do is one call
too many. Every classic token ends the one before it, five minutes later: so long whoever still has that one
may use it.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from adapters.gateway import Tokens
from errors import NotNow, Unavailable, UpstreamError

log = logging.getLogger(__name__)

MARGIN_MS = 300_000
"""A token is renewed so long before its end: from then on WeChat hands out its successor."""
TICKET_MARGIN_MS = 60_000
"""The same for a ticket, whose signature a page uses at once."""
FETCH_SECONDS = 10.0
"""The whole of one call to the token endpoint."""
LEASE_SECONDS = 2 * FETCH_SECONDS + 5.0
"""How long a refresher is waited for: it makes two calls at most."""
POLL_SECONDS = 0.1
FORCED_APART = 600.0
"""Seconds between two forced renewals: WeChat allows twenty a day."""


class Fetch(Protocol):
    """Asks WeChat for a token."""

    def __call__(self, *, force: bool) -> tuple[str, int]:
        """The token and the seconds it lives; `force` replaces one that is still good."""
        ...


@dataclass(frozen=True, slots=True)
class _Stored:
    value: str
    fresh: bool


class SharedToken:
    """A token or ticket that all threads share. `name` is its name in the database.

    With `replacing` each fetch makes a new token and ends the one before, as the classic endpoint does.
    """

    def __init__(
        self,
        name: str,
        tokens: Tokens,
        fetch: Fetch,
        margin_ms: int = MARGIN_MS,
        *,
        replacing: bool = False,
    ) -> None:
        self._name = name
        self._tokens = tokens
        self._fetch = fetch
        self._margin_ms = margin_ms
        self._replacing = replacing
        self._owner = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._tries = 0
        self._problem: UpstreamError | None = None
        self._forced = float("-inf")

    def get(self, deadline: float, refused: str = "") -> str:
        """A token that is good by what we know, and not the one WeChat just `refused`.

        Waits until `deadline` (`time.monotonic()`) for whoever is fetching one. Raises `NotNow`, or what
        fetching it raised.
        """
        try:
            return self._get(deadline, refused)
        except Unavailable:
            raise NotNow("the database does not answer") from None

    def _get(self, deadline: float, refused: str) -> str:
        stored = self._stored(refused)
        if stored is not None and stored.fresh:
            return stored.value
        seen = self._tries
        # with an old token that still works, nobody waits for the one who fetches the next
        patience = 0.0 if stored is not None else max(0.0, deadline - time.monotonic())
        if not self._lock.acquire(timeout=patience):
            if stored is not None:
                return stored.value
            raise NotNow("no access token came in time")
        try:
            if self._tries != seen and self._problem is not None:
                # the call we waited for has just failed; one failure is enough for all who waited
                raise self._problem.with_traceback(None)
            return self._renewed(deadline, refused)
        finally:
            self._lock.release()

    def _renewed(self, deadline: float, refused: str) -> str:
        while True:
            stored = self._stored(refused)
            if stored is not None and stored.fresh:
                return stored.value
            if self._tokens.may_refresh(self._name, self._owner, LEASE_SECONDS):
                return self._refresh(refused)
            if stored is not None:
                return stored.value
            if time.monotonic() >= deadline:
                raise NotNow("no access token came in time")
            time.sleep(POLL_SECONDS)

    def _refresh(self, refused: str) -> str:
        stored = self._stored(refused)
        if stored is not None and stored.fresh:
            # its refresher finished between our look and our turn
            self._tokens.leave(self._name, self._owner)
            return stored.value
        try:
            value, seconds = self._asked(refused)
        except UpstreamError as problem:
            self._problem = problem
            self._tokens.leave(self._name, self._owner)
            if stored is None:
                raise
            log.warning("the old token serves on", extra={"token": self._name, "why": problem.message})
            return stored.value
        finally:
            self._tries += 1
        self._problem = None
        self._tokens.store(self._name, value, _now_ms() + seconds * 1000)
        return value

    def _asked(self, refused: str) -> tuple[str, int]:
        if not (refused and self._replacing):
            value, seconds = self._fetch(force=False)
            if value != refused:
                return value, seconds
        # WeChat gives out what it does not take, or would end what another program has just fetched
        if time.monotonic() - self._forced < FORCED_APART:
            raise NotNow("WeChat refuses the token that it gives out")
        self._forced = time.monotonic()
        return self._fetch(force=True)

    def _stored(self, refused: str) -> _Stored | None:
        """What is in the database, unless it has ended or was refused."""
        if (found := self._tokens.get(self._name)) is None:
            return None
        value, expires_ms = found
        left = expires_ms - _now_ms()
        return _Stored(value, left > self._margin_ms) if left > 0 and value != refused else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
