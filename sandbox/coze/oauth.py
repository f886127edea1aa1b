"""The OAuth service app's desk: a signed JWT against an access token bound to a session name."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import jwt

from sandbox.coze.errors import TokenRefusal

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEFAULT_SECONDS, MOST_SECONDS = 900, 86_399
SKEW = 10
"""Seconds that the client's clock may be wrong."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token's meaning; `expires_at` in Unix seconds."""

    session_name: str
    expires_at: int


class TokenDesk:
    """Public keys of apps, access tokens given out, and the JWT ids already used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[str, str | bytes]] = {}
        self._grants: dict[str, Grant] = {}
        self._used: set[str] = set()

    def register(self, client_id: str, kid: str, public_key_pem: str | bytes) -> None:
        with self._lock:
            self._keys[kid] = (client_id, public_key_pem)

    def session_of(self, token: str) -> str | None:
        """The session name an access token is bound to; None when it is unknown or expired."""
        grant = self._grants.get(token)
        return grant.session_name if grant and time.time() < grant.expires_at else None

    def exchange(self, authorization: str, body: object, host: str) -> dict[str, object]:
        """The token endpoint's answer to a JWT meant for `host`; TokenRefusal when anything is wrong."""
        if not isinstance(body, Mapping) or body.get("grant_type") != GRANT:
            raise TokenRefusal("unsupported_grant_type", "grant_type is not supported", 400)
        claims = self._verify(authorization.partition(" ")[2].strip(), host)
        seconds = body.get("duration_seconds", DEFAULT_SECONDS)
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= MOST_SECONDS:
            raise TokenRefusal("invalid_request", "duration_seconds is out of range", 400)
        session_name = claims.get("session_name", "")
        if not isinstance(session_name, str):
            raise TokenRefusal("invalid_request", "session_name must be a string", 400)
        token, expires_at = f"czs_{secrets.token_urlsafe(32)}", int(time.time()) + seconds
        with self._lock:
            if claims["jti"] in self._used:
                raise TokenRefusal("invalid_request", "invalid jwt: jti has been used", 400)
            self._used.add(str(claims["jti"]))
            self._grants[token] = Grant(session_name, expires_at)
        return {"access_token": token, "expires_in": expires_at, "token_type": "Bearer", "refresh_token": ""}

    def _verify(self, token: str, host: str) -> Mapping[str, object]:
        if not token:
            raise TokenRefusal("invalid_request", "verify jwt empty error", 400)
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError as wrong:
            raise TokenRefusal("invalid_request", f"invalid jwt: {wrong}", 400) from wrong
        client_id, key = self._keys.get(str(kid), ("", ""))
        if not client_id:
            raise TokenRefusal("invalid_client", "invalid jwt: kid not been registered")
        try:
            claims: Mapping[str, object] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=host,
                issuer=client_id,
                leeway=SKEW,
                options={"require": ["iss", "aud", "iat", "exp", "jti"]},
            )
        except jwt.PyJWTError as wrong:
            raise TokenRefusal("invalid_client", f"invalid jwt: {wrong}") from wrong
        if not isinstance(claims["jti"], str) or not claims["jti"]:
            raise TokenRefusal("invalid_request", "invalid jwt: jti is empty", 400)
        return claims
