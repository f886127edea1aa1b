"""What adapters/base.py offers to every adapter: credentials, addresses, models, JSON, settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, request
from pydantic import BaseModel, Field

from adapters.base import PlatformSettings, as_json, bearer_token, is_allowed_address, validated
from errors import BadRequest, ConfigurationError, Unauthorized


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer  abc "}, "abc"),
        ({"X-Api-Key": "abc"}, "abc"),
        ({"Authorization": "Basic eDp5", "X-Api-Key": "abc"}, "abc"),
    ],
)
def test_a_bearer_token_is_found(headers: dict[str, str], token: str) -> None:
    with Flask("x").test_request_context(headers=headers):
        assert bearer_token(request) == token


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic eDp5"}])
def test_without_a_bearer_token_there_is_no_way_in(headers: dict[str, str]) -> None:
    with Flask("x").test_request_context(headers=headers), pytest.raises(Unauthorized):
        bearer_token(request)


@pytest.mark.parametrize(
    ("address", "allowed", "inside"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("10.1.2.3", ["192.0.2.1", "10.1.2.3"], True),
        ("10.1.2.3", ["10.1.2.4"], False),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:11.1.2.3", ["10.0.0.0/8"], False),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db8::1", ["10.0.0.0/8"], False),
        ("10.1.2.3", ["10.1.2.9/24"], True),
        ("10.1.2.3", [], False),
        ("", ["0.0.0.0/0"], False),
        (None, ["0.0.0.0/0"], False),
        ("10.1.2.3, 10.1.2.4", ["10.0.0.0/8"], False),
    ],
)
def test_an_address_is_allowed_by_address_or_network(
    address: str | None, allowed: list[str], inside: bool
) -> None:
    assert is_allowed_address(address, allowed) is inside


class Shape(BaseModel):
    user: str = Field(min_length=1)
    tags: list[int] = Field(default_factory=list)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not a JSON object"),
        (b"", "the body is not a JSON object"),
        (b"[]", "the body is not a JSON object"),
        (b"\xff", "the body is not a JSON object"),
        (b"{}", "user: Field required"),
        ({"user": "u", "tags": [1, "canary"]}, "tags.1: Input should be a valid integer"),
    ],
)
def test_what_does_not_fit_a_model_is_named_but_not_repeated(body: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        validated(Shape, body)
    assert caught.value.message.startswith(message)
    assert "canary" not in caught.value.message


def test_what_fits_a_model_becomes_one() -> None:
    assert validated(Shape, b'{"user": "u", "more": 1}') == validated(Shape, {"user": "u"})


@pytest.mark.parametrize("text", ["你好 👍🏽", "a\x00b", 'q"\\u0000', "\u2028\u2029", "</script>"])
def test_json_carries_any_text(text: str) -> None:
    assert json.loads(as_json({"text": text}).decode("utf-8")) == {"text": text}


def test_json_replaces_half_a_surrogate_pair() -> None:
    assert as_json({"text": "a\ud800b"}) == b'{"text":"a?b"}'


class OwnSettings(PlatformSettings, env_prefix="PLAIN_"):
    token: str = Field("", max_length=8)
    size: int = 1


def test_a_platform_s_settings_come_from_variables_with_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIN_SIZE", "3")
    monkeypatch.setenv("PLAIN_TOKEN", "")
    assert OwnSettings.load() == OwnSettings(size=3, token="")


def test_settings_that_do_not_fit_are_named_together_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIN_TOKEN", "canary-canary")
    monkeypatch.setenv("PLAIN_SIZE", "canary")
    with pytest.raises(ConfigurationError) as caught:
        OwnSettings.load()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["PLAIN_TOKEN", "PLAIN_SIZE"]
    assert "canary" not in str(caught.value)
