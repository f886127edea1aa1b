"""Log lines: valid JSON whatever is in them, and no secret in any."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.logs import RedactingFormatter, request_id, secrets_of
from settings import Settings

CANARY = "canary-value-of-a-secret"


def written(message: str, secrets: tuple[str, ...] = (CANARY,), **extra: object) -> str:
    record = logging.LogRecord("test", logging.INFO, __file__, 1, message, (), None)
    record.__dict__.update(extra)
    return RedactingFormatter(secrets).format(record)


@given(st.text())
def test_any_text_gives_one_line_of_valid_json(text: str) -> None:
    line = written(text, why=text)
    assert "\n" not in line
    assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize(
    "words",
    [
        f"it is {CANARY}",
        "GET /cgi-bin/x?access_token=AbC-123&next=1",
        "Authorization: Bearer abcdefgh12345678",
        "token pat_AbCdEfGh12345678 refused",
        "czs_AbCdEfGh12345678",
    ],
)
def test_a_secret_is_masked_wherever_it_stands(words: str) -> None:
    line = written(words, why=words)
    assert "***" in line
    for secret in (CANARY, "AbC-123", "abcdefgh12345678", "AbCdEfGh12345678"):
        assert secret not in line


@pytest.mark.parametrize("secret", ['pass"word"1', "pass\\word\\1", "pass\tword\n1", "口令\x01口令口令口令"])
def test_a_secret_is_masked_as_json_writes_it(secret: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, f"it is {secret}.", (), None)
    line = RedactingFormatter((secret,)).format(record)
    assert json.loads(line)["message"] == "it is ***."


def test_a_traceback_is_masked_too() -> None:
    try:
        raise ValueError(f"refused {CANARY}")
    except ValueError as problem:
        record = logging.LogRecord("t", logging.ERROR, __file__, 1, "x", (), (type(problem), problem, None))
    assert CANARY not in RedactingFormatter((CANARY,)).format(record)


@pytest.mark.parametrize(
    ("number", "kept"), [("13812345678", "138****5678"), ("11010519900307123X", "110105***")]
)
def test_numbers_of_people_are_masked(number: str, kept: str) -> None:
    assert kept in written(f"call {number} now")


def test_ids_of_coze_stay_readable() -> None:
    assert "7382159487131697202" in written("chat 7382159487131697202 at 1763720000123")


def test_the_request_id_is_in_the_line() -> None:
    token = request_id.set("abc12345")
    try:
        assert json.loads(written("x"))["request_id"] == "abc12345"
    finally:
        request_id.reset(token)


def test_every_secret_of_the_settings_is_known(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(
        coze_api_token="pat_one_secret",
        wechat_token="two-secret,three-secret",
        wechat_appid="wx1",
        wechat_appsecret="four-secret",
        yishiting_token="five-secret",
        api_keys="name:six-secret:log",
        database_url="postgresql+psycopg://u:seven-secret@localhost/x",
    )
    expected = {"pat_one_secret", "two-secret", "three-secret", "four-secret", "five-secret", "six-secret"}
    assert expected | {"seven-secret"} <= secrets_of(settings)
    assert not any(secret in repr(settings) for secret in expected | {"seven-secret"})
