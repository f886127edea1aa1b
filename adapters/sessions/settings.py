"""What the session service can be told."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from adapters.base import PlatformSettings

HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:[0-9]{1,5})?")


class SessionsSettings(PlatformSettings, env_prefix="SESSIONS_"):
    """Session service"""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hosts whose callers are verified, with all below them; what HtyHost may name"
    )
    verifier_url: str = Field(
        "https://admin.{host}/api/v1/uc/verify_jwt_token",
        description="who verifies HtySudoerToken; `{host}` is the entry of the hosts above that fits",
    )
    message_chars: int = Field(4000, ge=1, le=10_000, description="characters a message may have")
    per_user: int = Field(10, ge=1, le=1000, description="sessions a user may have at once")
    expiry: float = Field(3600.0, gt=0, description="seconds without a message after which a session ends")
    result_expiry: float = Field(1800.0, gt=0, description="seconds the result of a chat can be fetched")
    wait: float = Field(
        60.0, gt=0, le=110, description="seconds a message waits for its answer before it is `in_progress`"
    )

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(each.lower() for each in hosts)
        if not all(HOST.fullmatch(each) for each in lowered):
            raise ValueError("an entry is not a host name")
        return lowered

    @field_validator("verifier_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url.replace("{host}", "host"))
        if parts.scheme not in {"http", "https"} or not parts.hostname or {"{", "}"} & set(parts.geturl()):
            raise ValueError("is not an http(s) address, perhaps with {host} in it")
        return url
