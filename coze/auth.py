"""Tokens: a personal token as it is, or tokens got with a signed JWT and kept while they are good.

Nothing here knows what a token is used for.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import orjson

from coze.errors import AuthError, CozeError, Disconnected, Policy, TimedOut, Unreachable
from coze.retries import seconds_left
from coze.transport import ERROR_CAP, Transport
from errors import ConfigurationError
from settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_PATH = "/api/permission/oauth2/token"  # noqa: S105 - an address
TOKEN_SECONDS = 3_600
"""Life asked for. Coze allows a day; a shorter one loses less when a token leaks."""
JWT_SECONDS = 600
CACHED = 10_000
"""Tokens kept, one for each dialogue that spoke lately; the longest unused goes first."""
CALL_SECONDS = 15.0
"""The whole of one call to the token endpoint; a customer is waiting behind it."""


class Credentials(Protocol):
    """Where tokens come from."""

    def token(self, session_name: str | None, *, deadline: float | None = None) -> str:
        """A token good for now; with `session_name`, one that sees only that name's conversations.

        Raises `coze.errors.CozeError` when none can be had by `deadline` (`time.monotonic()`).
        """
        ...

    def discard(self, session_name: str | None, token: str) -> bool:
        """Forgets a token that Coze refused; True when asking again may give another one."""
        ...


class PersonalToken:
    """One token that never changes (PAT or SAT). It has no sessions: names are ignored."""

    def __init__(self, token: str) -> None:
        # a stray line break or quote would come back in an exception of the HTTP library, token and all
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("COZE_API_TOKEN: holds characters that no token has")
        self._token = token

    def token(self, session_name: str | None, *, deadline: float | None = None) -> str:
        return self._token

    def discard(self, session_name: str | None, token: str) -> bool:
        return False


class _Slot:
    """The token of one session name, and the lock under which it is renewed."""

    __slots__ = ("error", "lock", "refresh_at", "token", "tries")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token = ""
        self.refresh_at = 0.0
        self.tries = 0
        self.error: CozeError | None = None


class ServiceApp:
    """OAuth tokens for a service application: one for each session name, renewed before they end.

    Threads that want the same new token wait for one call; threads with other names are not held up.
    """

    def __init__(self, transport: Transport, client_id: str, key_id: str, key: RSAPrivateKey) -> None:
        self._transport = transport
        self._client_id = client_id
        self._key_id = key_id
        self._key = key
        self._audience = urlsplit(transport.base).netloc
        self._slots: OrderedDict[str | None, _Slot] = OrderedDict()
        self._guard = threading.Lock()

    def token(self, session_name: str | None, *, deadline: float | None = None) -> str:
        slot = self._slot(session_name)
        token = slot.token
        if token and time.time() < slot.refresh_at:
            return token
        seen = slot.tries
        left = seconds_left(deadline)
        if not slot.lock.acquire(timeout=min(left, 2 * CALL_SECONDS)):
            raise TimedOut("no token came in time")
        try:
            if slot.token and time.time() < slot.refresh_at:
                return slot.token
            if slot.tries != seen and slot.error is not None:
                # the call we waited for has just failed; one failure is enough for all who waited
                raise slot.error.with_traceback(None)
            return self._renew(slot, session_name, deadline)
        finally:
            slot.lock.release()

    def discard(self, session_name: str | None, token: str) -> bool:
        slot = self._slot(session_name)
        if slot.token == token:
            slot.refresh_at = 0.0
        return True

    def _slot(self, session_name: str | None) -> _Slot:
        with self._guard:
            slot = self._slots.get(session_name)
            if slot is None:
                slot = self._slots[session_name] = _Slot()
                if len(self._slots) > CACHED:
                    self._slots.popitem(last=False)
            else:
                self._slots.move_to_end(session_name)
            return slot

    def _renew(self, slot: _Slot, session_name: str | None, deadline: float | None) -> str:
        deadline = time.monotonic() + min(seconds_left(deadline), CALL_SECONDS)
        try:
            try:
                slot.token, expires = self._call(session_name, deadline)
            except (Unreachable, Disconnected, TimedOut, AuthError) as error:
                if isinstance(error, AuthError) and error.policy is not Policy.RETRY:
                    raise
                slot.token, expires = self._call(session_name, deadline)
            now = time.time()
            life = max(0.0, expires - now)
            slot.refresh_at = expires - min(max(60.0, 0.1 * life), 0.5 * life)
            slot.error = None
            return slot.token
        except CozeError as error:
            slot.error = error
            raise
        finally:
            slot.tries += 1

    def _call(self, session_name: str | None, deadline: float) -> tuple[str, float]:
        body = {"grant_type": GRANT, "duration_seconds": TOKEN_SECONDS}
        with self._transport.send(
            "POST", TOKEN_PATH, self._signed(session_name), json=body, deadline=deadline
        ) as got:
            status, logid, content = got.status, got.logid, got.body(ERROR_CAP)
        try:
            answer = orjson.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise AuthError(f"http_{status}", "no JSON came back", logid=logid)
        token, expires = answer.get("access_token"), answer.get("expires_in")
        usable = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token
        if status // 100 == 2 and usable and token and isinstance(expires, int | float):
            # `expires_in` is a moment, whatever its name says
            return str(token), float(expires)
        reason = answer.get("error_code") or answer.get("code") or answer.get("error") or f"http_{status}"
        words = answer.get("error_message") or answer.get("msg") or ""
        raise AuthError(str(reason), str(words), logid=logid)

    def _signed(self, session_name: str | None) -> str:
        import jwt  # as in `load_key`

        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self._client_id,
            "aud": self._audience,
            "iat": now,
            "exp": now + JWT_SECONDS,
            # Coze takes each JWT once, so none is ever sent twice
            "jti": secrets.token_urlsafe(36),
        }
        if session_name is not None:
            claims["session_name"] = session_name
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})


def load_key(pem: str) -> RSAPrivateKey:
    """The private key in a PEM text, PKCS#1 or PKCS#8, line breaks real or written as \\n.

    Raises `ConfigurationError`.
    """
    # for service applications only: a personal token needs neither keys nor signatures
    import jwt  # noqa: F401 - now, and not when the first customer waits
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").strip().encode(), password=None)
    except (ValueError, TypeError):
        raise ConfigurationError("COZE_OAUTH_PRIVATE_KEY: is not an unencrypted PEM private key") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError("COZE_OAUTH_PRIVATE_KEY: is not an RSA key")
    return key


def make_credentials(settings: Settings) -> Credentials:
    """The credentials that the settings name. Raises `ConfigurationError` when they cannot work."""
    if settings.coze_auth_mode == "PAT":
        token = settings.coze_token
        return PersonalToken(token.get_secret_value().strip() if token else "")
    if settings.coze_oauth_private_key_file is not None:
        try:
            pem = settings.coze_oauth_private_key_file.read_text("utf-8")
        except (OSError, ValueError) as problem:
            raise ConfigurationError(
                f"COZE_OAUTH_PRIVATE_KEY_FILE: cannot be read ({type(problem).__name__})"
            ) from None
    elif settings.coze_oauth_private_key is not None:
        pem = settings.coze_oauth_private_key.get_secret_value()
    else:
        raise ConfigurationError("COZE_OAUTH_PRIVATE_KEY_FILE or COZE_OAUTH_PRIVATE_KEY is missing")
    return ServiceApp(
        Transport(
            settings.coze_base, settings.coze_connect_timeout, min(settings.coze_read_timeout, CALL_SECONDS)
        ),
        settings.coze_oauth_client_id,
        settings.coze_oauth_public_key_id,
        load_key(pem),
    )
