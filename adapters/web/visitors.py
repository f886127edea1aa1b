"""Who is asking: a server with an API key, which may speak for anybody, or a browser with a visitor's token.

A token is a JWT that only says who its visitor is. In development neither is needed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flask import Request

from adapters.gateway import Keys
from errors import Forbidden, Unauthorized
from handler.message import Media

TOKEN_SECONDS = 30 * 24 * 3600
FILE_SECONDS = 24 * 3600
VISITOR, FILE = "yingda-visitor", "yingda-file"
"""Audiences: a token for a file opens nothing else."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes the request. `visitor` is the one that a token proves; without, any may be named."""

    visitor: str | None = None
    limited: bool = False
    """Whether it is a stranger, whose haste has to be limited."""

    def user(self, named: str | None) -> str | None:
        """In whose name it acts; None when it named nobody. Raises `Forbidden` for another's name."""
        if self.visitor is not None and named not in {None, self.visitor}:
            raise Forbidden("user_id is not the visitor of this token")
        return self.visitor or named


class Visitors:
    """Tells callers apart. `secrets` are those of the tokens; without any, there are no tokens."""

    def __init__(self, signing: Sequence[str], keys: Keys, development: bool) -> None:
        self._signing = tuple(signing)
        self._keys = keys
        self._development = development

    @property
    def has_tokens(self) -> bool:
        return bool(self._signing)

    def caller(self, request: Request, token: str | None = None) -> Caller:
        """Raises `Unauthorized` without a valid credential, `Forbidden` for a key without the scope."""
        if token := token or _token(request):
            return Caller(str(self._opened(token, VISITOR)["sub"]), limited=True)
        if not self._development:
            self._keys.require(request, "chat")
        return Caller()

    def beginner(self, request: Request) -> Caller:
        """The same for who has no token yet, and wants one: a stranger is welcome where tokens are given."""
        if not (_token(request) or _has_key(request)) and self.has_tokens and not self._development:
            return Caller(new_name(), limited=True)
        return self.caller(request)

    def issue(self, visitor: str) -> str:
        """A token that proves to be this visitor."""
        return self._signed({"sub": visitor, "aud": VISITOR}, TOKEN_SECONDS)

    def issue_file(self, visitor: str, file: Media) -> str:
        """A token with which only this visitor may use the file."""
        return self._signed({"sub": visitor, "aud": FILE, "file": asdict(file)}, FILE_SECONDS)

    def file(self, token: str, visitor: str) -> Media:
        """The file of a token. Raises `Forbidden` unless it was this visitor's, and is not too old."""
        try:
            claims = self._opened(token, FILE)
        except Unauthorized:
            raise Forbidden("files: a token is not valid") from None
        if claims["sub"] != visitor:
            raise Forbidden("files: a token is not this visitor's")
        return Media(**claims["file"])

    def _signed(self, claims: Mapping[str, object], seconds: int) -> str:
        import jwt  # where visitors have no tokens, nothing loads it

        now = int(time.time())
        return jwt.encode({**claims, "iat": now, "exp": now + seconds}, self._signing[0], algorithm="HS256")

    def _opened(self, token: str, audience: str) -> dict[str, Any]:
        import jwt

        for each in self._signing:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    each,
                    algorithms=["HS256"],
                    audience=audience,
                    options={"require": ["sub", "aud", "exp"]},
                )
                return claims
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise Unauthorized("the token has expired: begin a new conversation") from None
            except (jwt.InvalidTokenError, ValueError):
                break
        raise Unauthorized("the token is not valid: begin a new conversation")


def new_name() -> str:
    """A visitor whom nobody can guess."""
    return f"v_{secrets.token_hex(16)}"


def _token(request: Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    # a key of ours has no dots that would make three parts
    return value.strip() if scheme.lower() == "bearer" and value.count(".") == 2 else ""


def _has_key(request: Request) -> bool:
    return "Authorization" in request.headers or "X-Api-Key" in request.headers
