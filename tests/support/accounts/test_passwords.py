"""Passwords: the rules for a new one, and hashes that hold nobody up."""

from __future__ import annotations

import threading
import time

import pytest
from argon2 import PasswordHasher

from errors import BadRequest, Unavailable
from support.passwords import COMMON, HASHER, Passwords, require_good
from tests.support.accounts.conftest import CHEAP


@pytest.mark.parametrize(
    "password", ["correct horse battery", "一个足够长的中文密码啊", "x9#kPq!vT2", "ａｂｃｄｅ12345!"]
)
def test_a_long_enough_phrase_is_good(password: str) -> None:
    require_good(password, "wang", "小王")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short1!", "10 to 128"),
        ("x" * 129, "10 to 128"),
        ("abababababab", "5 different"),
        ("My-Wang-phrase", "user name"),
        ("ｗａｎｇ-phrase-1", "user name"),
        ("zhaoxiaoming99", "user name or the name"),
        ("Password123", "common"),
        ("QWERTYUIOP", "common"),
    ],
)
def test_a_bad_one_is_refused_with_the_reason_and_not_quoted(password: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as refusal:
        require_good(password, "wang", "ZhaoXiaoMing")
    assert password not in refusal.value.message


def test_each_common_password_is_one_that_the_other_rules_let_through() -> None:
    for password in COMMON:
        with pytest.raises(BadRequest, match="common"):
            require_good(password, "someone", "")


def test_the_right_password_fits_and_no_other_however_it_is_typed() -> None:
    passwords = Passwords(CHEAP)
    stored = passwords.hash("correct horse e\u0301")
    assert passwords.fits(stored, "correct horse é"), "two ways to type one letter"
    assert not passwords.fits(stored, "correct horse e")
    assert not passwords.fits(None, "correct horse é")
    assert not passwords.fits("not a hash", "x")
    assert not passwords.fits(stored, "\ud800")
    assert stored.startswith("$argon2id$")


def test_todays_costs_are_at_least_owasps() -> None:
    assert HASHER.memory_cost * HASHER.time_cost >= 46 * 1024
    assert HASHER.memory_cost >= 19 * 1024
    assert Passwords().is_dated(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"))


def test_only_so_many_hashes_are_made_at_once_and_the_rest_wait_or_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passwords = Passwords(CHEAP, at_once=2)
    running, most, gate = 0, 0, threading.Event()
    lock = threading.Lock()

    def slow(call: object, arguments: object) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(10)
        with lock:
            running -= 1
        return "h"

    passwords.elsewhere = slow
    threads = [threading.Thread(target=passwords.hash, args=("x",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while most < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    monkeypatch.setattr("support.passwords.WAIT_SECONDS", 0.05)
    with pytest.raises(Unavailable):
        passwords.hash("one too many")
    gate.set()
    for thread in threads:
        thread.join(10)
    assert most == 2
    assert passwords.hash("now there is a place") == "h"
