"""Checks that every signed platform shares: constant-time comparison and the time window.

Nothing else in the project compares a signature; a test keeps it so.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from errors import Forbidden

WINDOW_SECONDS = 300
"""How far a signed timestamp may lie from now, either way: enough for clock skew and platform retries,
too little for a recorded request to be worth keeping."""
TIMESTAMP = re.compile(r"[0-9]{10}", re.ASCII)


def same(expected: str, given: str) -> bool:
    """Whether two secrets are equal, in time that does not depend on where they differ.

    Nothing equals an empty secret: a setting that is missing must not open the door.
    """
    # surrogatepass: whatever a header holds becomes bytes, and different strings become different bytes
    equal = hmac.compare_digest(
        expected.encode("utf-8", "surrogatepass"), given.encode("utf-8", "surrogatepass")
    )
    return equal and expected != ""


def same_as_any(expected: Iterable[str], given: str) -> bool:
    """Whether `given` is one of several valid signatures; all are compared, so that timing tells nothing."""
    matches = [same(each, given) for each in expected]
    return any(matches)


def check_window(timestamp: str, now: float, window: int = WINDOW_SECONDS) -> None:
    """Raises `Forbidden` unless `timestamp` is 10 digits of unix seconds within `window` of `now`."""
    if not TIMESTAMP.fullmatch(timestamp):
        raise Forbidden("the timestamp is not unix seconds")
    if abs(int(now) - int(timestamp)) > window:
        raise Forbidden("the timestamp is outside the accepted window; check the clocks")
