"""Tokens of a sign-in: JWTs (HS256) that name its row and open nothing without it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from errors import Unauthorized
from storage.agent_logins import LIFE_MS, Login

Use = Literal["access", "refresh", "browser"]
ACCESS_SECONDS = 15 * 60
SECONDS: dict[Use, int] = {
    "access": ACCESS_SECONDS,
    "refresh": LIFE_MS["api"] // 1000,
    "browser": LIFE_MS["browser"] // 1000,
}


class AgentTokens:
    """Writes and reads them. The first secret signs, all of them are believed."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    def issue(self, login: Login, use: Use) -> str:
        """A token of this sign-in for one use."""
        import jwt  # a gateway whose desk nobody uses never loads it, and cryptography with it

        now = int(time.time())
        claims = {
            "aud": f"yingda-agent-{use}",
            "sub": login.agent.username,
            "sid": login.id,
            "n": login.generation,
            "iat": now,
            "exp": now + SECONDS[use],
        }
        return jwt.encode(claims, self._secrets[0], algorithm="HS256")

    def read(self, token: str, use: Use) -> tuple[str, int]:
        """Sign-in and generation of a token of ours. Raises `Unauthorized`; whether the sign-in is still good
        only its row knows.
        """
        import jwt

        for secret in self._secrets:
            try:
                claims = jwt.decode(
                    token,
                    secret,
                    algorithms=["HS256"],
                    audience=f"yingda-agent-{use}",
                    options={"require": ["sub", "sid", "n", "exp"]},
                )
                return str(claims["sid"]), int(claims["n"])
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise Unauthorized("the token has expired") from None
            except (jwt.InvalidTokenError, ValueError, TypeError):
                break
        raise Unauthorized("the token is not valid")
