"""Passwords: their hashes, which cost a tenth of a second on purpose, and what a new one has to be like."""

from __future__ import annotations

import base64
import secrets
import threading
import unicodedata
from collections.abc import Callable
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from errors import BadRequest, Unavailable

HASHER = PasswordHasher(time_cost=2, memory_cost=46 * 1024, parallelism=1)
"""Argon2id, 46 MiB: above OWASP's least, and some 0.1 s of one core."""
AT_ONCE = 2
"""Hashes that a process makes at the same time: 92 MiB, and no more cores than a small machine has."""
WAIT_SECONDS = 5.0
SHORTEST, LONGEST = 10, 128
"""Characters. Length is what makes a password strong; the longest keeps nonsense from being hashed."""
LEAST_DIFFERENT = 5
COMMON = frozenset(
    """
    1234567890 12345678910 0123456789 1234554321 1122334455 9876543210 0987654321 1qaz2wsx3edc qwertyuiop
    qwerty12345 qwerty123456 1q2w3e4r5t 1q2w3e4r5t6y asdfghjkl1 asdfghjkl; zxcvbnm123 password12 password123
    password1234 password123456 passw0rd123 p@ssw0rd123 administrator admin12345 admin123456 adminadmin
    administrator1 woaini1314 woaini123456 5201314520 1314520520 a123456789 a1234567890 abc1234567
    abcd123456 abcd12345678 abcdefghij abcdefg123 aa123456789 qq123456789 wechat123456 iloveyou123
    welcome123 welcome1234 letmein123 changeme123 yingda12345 yingda123456 test123456 testtest123 iloveyou1314
    """.split()
)
"""What is tried first, as far as the other rules let it through."""


class Passwords:
    """Makes and checks hashes. `elsewhere(call, arguments)` runs a call where it holds nobody up: gunicorn's
    greenlets all share one thread, so that its configuration puts a pool of native threads there.
    """

    def __init__(self, hasher: PasswordHasher = HASHER, at_once: int = AT_ONCE) -> None:
        self._hasher = hasher
        self._places = threading.BoundedSemaphore(at_once)
        self._nobodys = _hash_of_nothing(hasher)
        self.elsewhere: Callable[[Callable[..., Any], tuple[Any, ...]], Any] = _here

    def hash(self, password: str) -> str:
        """What is stored. Raises `Unavailable` when too many wait for theirs."""
        return str(self._run(self._hasher.hash, normal(password)))

    def fits(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of this hash. For an account that is not there (None) it takes as
        long, and never is. Raises `Unavailable` as `hash`.
        """
        return bool(self._run(self._verify, stored or self._nobodys, normal(password))) and stored is not None

    def is_dated(self, stored: str) -> bool:
        """Whether the hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    def _run(self, call: Callable[..., Any], *arguments: str) -> Any:
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("too many sign-ins at once: try again in a moment")
        try:
            return self.elsewhere(call, arguments)
        finally:
            self._places.release()


def normal(password: str) -> str:
    """The password in the one form in which every keyboard means the same; half a character becomes `?`."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()


def require_good(password: str, username: str, name: str = "") -> None:
    """Raises `BadRequest`, saying which rule a new password breaks; never quoting it."""
    given = normal(password).casefold()
    if not SHORTEST <= len(given) <= LONGEST:
        raise BadRequest(f"the password needs {SHORTEST} to {LONGEST} characters")
    if len(set(given)) < LEAST_DIFFERENT:
        raise BadRequest(f"the password needs {LEAST_DIFFERENT} different characters")
    if any(len(each) >= 3 and each.casefold() in given for each in (username, name)):
        raise BadRequest("the password must not contain the user name or the name")
    if given in COMMON:
        raise BadRequest("the password is one of the most common ones")


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """A hash that costs as much as the others and that no password has."""
    salt, digest = (base64.b64encode(secrets.token_bytes(n)).decode().rstrip("=") for n in (16, 32))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


def _here(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return call(*arguments)
