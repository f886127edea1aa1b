"""API keys: known, allowed, and never told."""

from __future__ import annotations

import pytest
from flask import Flask, request

from adapters import signing
from errors import ConfigurationError, Forbidden, Unauthorized
from ops import keys as keys_module
from ops.keys import ApiKeys, keys_from
from settings import DEVELOPMENT_KEY, Settings

ENTRIES = (
    "console:console-key-0123456789:log",
    "shop:shop-key-0123456789:chat+log",
    "root:root-key-0123456789:*",
    "shop2:shop-two-0123456789:chat",
)


def ask(keys: ApiKeys, scope: str, **headers: str) -> str:
    with Flask("test").test_request_context(headers={n.replace("_", "-"): v for n, v in headers.items()}):
        return keys.require(request, scope)


@pytest.mark.parametrize(
    ("key", "scope", "name"),
    [
        ("console-key-0123456789", "log", "console"),
        ("shop-key-0123456789", "log", "shop"),
        ("shop-key-0123456789", "chat", "shop"),
        ("root-key-0123456789", "anything", "root"),
    ],
)
def test_a_key_opens_its_scopes(key: str, scope: str, name: str) -> None:
    keys = ApiKeys(ENTRIES, development=False)
    assert ask(keys, scope, Authorization=f"Bearer {key}") == name
    assert ask(keys, scope, X_Api_Key=key) == name


def test_a_known_key_without_the_scope_is_forbidden() -> None:
    with pytest.raises(Forbidden, match="log"):
        ask(ApiKeys(ENTRIES, development=False), "log", Authorization="Bearer shop-two-0123456789")


@pytest.mark.parametrize(
    "value", ["Bearer nope", "Bearer ", "Basic Y29uc29sZQ==", "", "Bearer console-key-012345678", "Bearer é"]
)
def test_anything_else_is_unauthorized(value: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        ask(ApiKeys(ENTRIES, development=False), "log", Authorization=value)
    assert "nope" not in caught.value.message


def test_without_keys_production_opens_for_nobody() -> None:
    with pytest.raises(Unauthorized):
        ask(ApiKeys((), development=False), "log", Authorization=f"Bearer {DEVELOPMENT_KEY}")


def test_without_keys_development_takes_the_well_known_one() -> None:
    assert (
        ask(ApiKeys((), development=True), "log", Authorization=f"Bearer {DEVELOPMENT_KEY}") == "development"
    )


def test_with_keys_development_knows_only_those() -> None:
    with pytest.raises(Unauthorized):
        ask(ApiKeys(ENTRIES, development=True), "log", Authorization=f"Bearer {DEVELOPMENT_KEY}")


def test_every_key_is_compared_even_after_one_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def same(expected: str, given: str) -> bool:
        compared.append(expected)
        return signing.same(expected, given)

    monkeypatch.setattr(keys_module, "same", same)
    ask(ApiKeys(ENTRIES, development=False), "log", Authorization="Bearer console-key-0123456789")
    assert len(compared) == len(ENTRIES)


@pytest.mark.parametrize(
    "entry", ["only-a-name", "n4me:k3y", "name::log", ":key:log", "a:b:c:d", "name:key: "]
)
def test_a_malformed_entry_stops_the_start_without_being_quoted(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="entry 2") as caught:
        ApiKeys((ENTRIES[0], entry), development=False)
    assert entry not in str(caught.value)


def test_two_keys_of_one_name_stop_the_start() -> None:
    with pytest.raises(ConfigurationError, match="same name"):
        ApiKeys((ENTRIES[0], "console:other-key-0123456789:log"), development=False)


def test_no_form_of_the_keys_shows_a_secret() -> None:
    keys = ApiKeys(ENTRIES, development=False)
    shown = f"{keys!r} {keys!s} {keys._keys!r}"
    assert "console" in shown
    assert "0123456789" not in shown


def test_keys_come_from_the_settings() -> None:
    settings = Settings(_env_file=None, api_keys=ENTRIES, app_env="production")  # type: ignore[call-arg]
    assert repr(keys_from(settings)) == "ApiKeys(console, shop, root, shop2)"
    development = Settings(_env_file=None, api_keys=())  # type: ignore[call-arg]
    assert repr(keys_from(development)) == "ApiKeys(development)"
