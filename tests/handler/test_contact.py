"""What is an e-mail address, and what only looks like one."""

from __future__ import annotations

import pytest

from handler.contact import email_in, is_email


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("li.lei@example.com", "li.lei@example.com"),
        ("我的邮箱是li_lei+shop@mail.example.com.cn，谢谢", "li_lei+shop@mail.example.com.cn"),
        (" a@b.cc\n", "a@b.cc"),
        ("first@example.com or second@example.com", "first@example.com"),
        ("@example.com", ""),
        ("li@example", ""),
        ("li@-example.com", ""),
        ("li@example..com", ""),
        ("订单@123", ""),
        ("李雷@example.com", ""),
        ("", ""),
    ],
)
def test_the_first_address_of_a_message_is_found(text: str, found: str) -> None:
    assert email_in(text) == found


@pytest.mark.parametrize(
    "text", ["a@b.cc\r\nBcc: x@y.zz", "a@b.cc ", "a@b.cc,x@y.zz", f"a@{'b' * 250}.cc", "a b@c.dd"]
)
def test_an_address_with_anything_else_is_none(text: str) -> None:
    assert not is_email(text)


def test_a_hostile_text_costs_no_time() -> None:
    for hostile in ("a" * 4000, "a@" + "b." * 2000, "a@" * 2000, "a@" + "b-" * 2000, "." * 4000):
        assert email_in(hostile) == ""
