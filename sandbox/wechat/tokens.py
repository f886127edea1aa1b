"""Access tokens: the stable line, the classic line, and which of them are still good."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.wechat.errcodes import Refusal

LIFETIME = 7200.0
OVERLAP = 300.0
"""Seconds an old token lives on beside its successor."""
FORCED_PER_DAY = 20
FORCED_APART = 30.0


@dataclass(slots=True)
class Token:
    value: str
    expires: float


class Tokens:
    """The tokens of one account. The two lines do not disturb each other. `now` gives unix seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._issued: dict[str, Token] = {}
        self._stable: Token | None = None
        self._classic: Token | None = None
        self._forced: list[float] = []
        self.fetches = 0
        """Answered token requests, whichever endpoint."""

    def stable(self, force: bool = False) -> tuple[str, int]:
        """The same token until 5 minutes before it expires, then its successor: (token, seconds left).

        `force` replaces it at once and kills the old one. Raises 45011 and 45009 on its limits.
        """
        with self._lock:
            now = self._now()
            if force:
                self._count_forced(now)
                if self._stable:
                    self._issued.pop(self._stable.value, None)
            if force or self._stable is None or now >= self._stable.expires - OVERLAP:
                self._stable = self._issue(now)
            self.fetches += 1
            return self._stable.value, int(self._stable.expires - now)

    def classic(self) -> tuple[str, int]:
        """A new token on every call; the one before lives 5 minutes longer at most."""
        with self._lock:
            now = self._now()
            if self._classic:
                self._classic.expires = min(self._classic.expires, now + OVERLAP)
            self._classic = self._issue(now)
            self.fetches += 1
            return self._classic.value, int(LIFETIME)

    def check(self, value: str) -> None:
        """Raises 41001 without a token, 40001 for an unknown one, 42001 for one that has run out."""
        with self._lock:
            if not value:
                raise Refusal(41001)
            if (token := self._issued.get(value)) is None:
                raise Refusal(40001)
            if token.expires <= self._now():
                raise Refusal(42001)

    def revoke(self) -> None:
        """Makes every token invalid, as another program of the same account would by fetching its own."""
        with self._lock:
            self._issued.clear()
            self._stable = self._classic = None

    def _issue(self, now: float) -> Token:
        # real ones are long: a column that is too short for them must show
        token = Token(f"{secrets.randbelow(100)}_{secrets.token_urlsafe(380)}", now + LIFETIME)
        self._issued[token.value] = token
        return token

    def _count_forced(self, now: float) -> None:
        self._forced = [each for each in self._forced if now - each < 86400]
        if self._forced and now - self._forced[-1] < FORCED_APART:
            raise Refusal(45011)
        if len(self._forced) >= FORCED_PER_DAY:
            raise Refusal(45009)
        self._forced.append(now)
