"""The codes, in one list and in both manuals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.wechat.errcodes import MEANINGS, MISCONFIGURED, WRONG_SETTINGS, caller_address, in_words

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", ["wechat.md", "wechat.zh-CN.md"])
def test_every_code_that_we_know_is_in_the_manual(name: str) -> None:
    rows = [line for line in (DOCS / name).read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = " ".join(line.split("|")[1] for line in rows)
    told = {int(each) for each in re.findall(r"-?\b\d+\b", cells)}
    for first, last in re.findall(r"(\d+) (?:to|至) (\d+)", cells):
        told |= set(range(int(first), int(last) + 1))
    assert set(MEANINGS) <= told


def test_every_fault_of_the_settings_has_words_for_the_log() -> None:
    assert set(MISCONFIGURED) == set(WRONG_SETTINGS)
    assert all(len(f"wechat_{code}: {words}") <= 64 for code, words in MISCONFIGURED.items())


@pytest.mark.parametrize(
    ("errmsg", "address"),
    [
        ("invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 6f-12", "203.0.113.7"),
        ("invalid ip 2001:db8::17, not in whitelist", "2001:db8::17"),
        ("invalid ip, not in whitelist rid: 6f-12", ""),
    ],
)
def test_the_address_that_wechat_names_is_found(errmsg: str, address: str) -> None:
    assert caller_address(errmsg) == address
    assert (address or "outgoing address") in in_words(40164, errmsg)


def test_an_unknown_code_is_said_to_be_one() -> None:
    assert in_words(99999, "<b>secret</b>") == (
        "WeChat refuses (99999): look the number up in WeChat's list of codes"
    )
