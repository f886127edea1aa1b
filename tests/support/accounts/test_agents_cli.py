"""`flask agents`: the first admin, and help for whoever locked everybody out."""

from __future__ import annotations

import pytest
from click.testing import Result

from tests.support.accounts.conftest import Desk

NEW = "a new good phrase"


def run(desk: Desk, *words: str, typed: str = "") -> Result:
    return desk.app.test_cli_runner().invoke(args=["agents", *words], input=typed)


def test_the_first_admin_is_made_with_a_password_from_standard_input(desk: Desk) -> None:
    result = run(desk, "create-admin", "Chief", "--name", "头儿", typed=f"{NEW}\n")
    assert result.exit_code == 0, result.output
    assert NEW not in result.output
    answer = desk.sign_in("chief", NEW).get_json()
    assert (answer["agent"]["role"], answer["agent"]["name"]) == ("admin", "头儿")
    assert desk.audited(actor="cli", target="chief") == ["account.created"]


@pytest.mark.parametrize(
    ("words", "typed", "why"),
    [
        (("create-admin", "chief"), "", "10 to 128"),
        (("create-admin", "chief"), "short\n", "10 to 128"),
        (("create-admin", "a b"), NEW, "a user name is"),
        (("create", "wang"), NEW, "already"),
        (("set-password", "nobody"), NEW, "no such account"),
        (("disable", "nobody"), "", "no such account"),
        (("disable", "boss"), "", "last admin"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(desk: Desk, words: tuple[str, ...], typed: str, why: str) -> None:
    result = run(desk, *words, typed=typed)
    assert result.exit_code == 1
    assert why in result.output
    assert "Traceback" not in result.output


def test_accounts_are_listed_switched_and_let_in_again(desk: Desk) -> None:
    assert run(desk, "create", "zhao", "--role", "supervisor", typed=NEW).exit_code == 0
    assert run(desk, "disable", "zhao").exit_code == 0
    assert desk.sign_in("zhao", NEW).status_code == 401
    lines = run(desk, "list").output.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("zhao")] == [["zhao", "supervisor", "off"]]
    assert len(lines) == 4
    assert run(desk, "enable", "zhao").exit_code == 0
    assert run(desk, "set-password", "ZHAO", typed="yet another phrase\n").exit_code == 0
    assert desk.sign_in("zhao", "yet another phrase").status_code == 200
