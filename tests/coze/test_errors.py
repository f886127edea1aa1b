"""Codes, what they mean for us, and that no text of Coze carries a secret out."""

from __future__ import annotations

import pytest

from coze.errors import (
    MEANINGS,
    CodeError,
    CozeError,
    HttpError,
    Policy,
    code_number,
    error_from,
)
from errors import UpstreamError


@pytest.mark.parametrize(
    ("code", "policy"),
    [
        (4000, Policy.CONFIG),
        (4002, Policy.RECREATE),
        (4009, Policy.RETRY),
        (4010, Policy.RECREATE),
        (4011, Policy.CONFIG),
        (4013, Policy.RETRY),
        (4014, Policy.TELL_USER),
        (4016, Policy.WAIT),
        (4020, Policy.RETRY),
        (4028, Policy.CONFIG),
        (4100, Policy.REFRESH),
        (4101, Policy.REFRESH),
        (4105, Policy.TELL_USER),
        (4200, Policy.RECREATE),
        (5000, Policy.RETRY),
        (700012006, Policy.REFRESH),
        (720702001, Policy.NO_RETRY),
    ],
)
def test_a_code_says_what_is_to_be_done(code: int, policy: Policy) -> None:
    error = error_from(code, "words", "log1")
    assert (error.policy, error.name, error.logid, error.status) == (policy, f"coze_{code}", "log1", 502)
    assert isinstance(error, UpstreamError)


def test_a_code_decides_before_the_status() -> None:
    assert error_from(4016, "", http_status=500).name == "coze_4016"
    assert error_from(0, "", http_status=502).name == "coze_http_502"
    assert error_from(400, "", http_status=400).policy is Policy.CONFIG


def test_a_code_written_as_digits_is_a_code() -> None:
    error = error_from("777777775", "conversation not found")
    assert isinstance(error, CodeError)
    assert error.number == 777777775


@pytest.mark.parametrize("code", [None, "", "abc", True, 1.5, {}, "١٢", "9" * 40])
def test_what_is_no_code_is_no_success_either(code: object) -> None:
    assert code_number(code) == 0
    assert error_from(code, None).name == "coze_error"


@pytest.mark.parametrize("code", [4100, 4101, 4200, 700012006])
def test_the_hint_names_the_region(code: int) -> None:
    assert "api.coze.cn" in MEANINGS[code].hint


def test_texts_are_cut_to_one_short_line() -> None:
    error = HttpError(504, "<html>\n\t" + "gateway " * 500)
    assert len(error.message) <= 200
    assert "\n" not in str(error)


@pytest.mark.parametrize("token", ["pat_" + "a1B2" * 16, "czs_xyz-123", "sat_0", "eyJhbGciOi.J9.sig-_x"])
def test_no_token_survives_in_an_error(token: str) -> None:
    for error in (error_from(4100, f"bad {token}!"), HttpError(401, token), CozeError(f"x {token}")):
        assert token not in str(error) + repr(error) + error.message
        assert "***" in str(error)


def test_redirects_are_a_matter_of_configuration() -> None:
    assert error_from(None, "", http_status=308).policy is Policy.CONFIG
