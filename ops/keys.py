"""API keys: who may call our own endpoints, and for what. Platforms' signatures are the adapters' matter."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Request

from adapters.base import bearer_token
from adapters.signing import same
from errors import ConfigurationError, Forbidden, Unauthorized
from settings import DEVELOPMENT_KEY, Settings

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One caller: its name, its secret, and what it may do."""

    name: str
    secret: str = field(repr=False)
    scopes: frozenset[str]

    def allows(self, scope: str) -> bool:
        return scope in self.scopes or EVERYTHING in self.scopes


class ApiKeys:
    """The configured keys. In development without any, the well-known key opens everything.

    Raises `ConfigurationError` for an entry that is not `name:key:scope+scope`; it never quotes one.
    """

    def __init__(self, entries: tuple[str, ...], development: bool) -> None:
        if not entries and development:
            entries = (f"development:{DEVELOPMENT_KEY}:{EVERYTHING}",)
        self._keys = tuple(_parse(number, entry) for number, entry in enumerate(entries, 1))
        names = [key.name for key in self._keys]
        if len(set(names)) != len(names):
            raise ConfigurationError("API_KEYS: two entries have the same name")

    def require(self, request: Request, scope: str) -> str:
        """The caller's name. Raises `Unauthorized` without a known key, `Forbidden` without the scope."""
        token = bearer_token(request)
        # a list, not a generator: every key is compared, so the time tells nothing about which one fits
        known = [key for key in self._keys if same(key.secret, token)]
        if not known:
            raise Unauthorized("the API key is not known")
        if not any(key.allows(scope) for key in known):
            raise Forbidden(f"the API key lacks the scope {scope}")
        return known[0].name

    def __repr__(self) -> str:
        return f"ApiKeys({', '.join(key.name for key in self._keys)})"


def keys_from(settings: Settings) -> ApiKeys:
    """The keys of these settings."""
    return ApiKeys(settings.api_keys, settings.development)


def _parse(number: int, entry: str) -> ApiKey:
    parts = [part.strip() for part in entry.split(":")]
    if len(parts) != 3 or not all(parts):
        raise ConfigurationError(f"API_KEYS: entry {number} is not name:key:scope+scope")
    name, secret, scopes = parts
    return ApiKey(name, secret, frozenset(filter(None, (scope.strip() for scope in scopes.split("+")))))
