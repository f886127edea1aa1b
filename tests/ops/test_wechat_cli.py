"""`flask wechat`: an account tried from end to end against a real gateway, and its menu."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask, redirect

from sandbox.serve import Server
from sandbox.wechat import LocalWeChat
from tests.adapters.wechat.service import AES_KEY, SECRET, Service, opened
from tests.rig import Rig

MENU = '[[button]]\nname = "帮助"\ntype = "click"\nkey = "help"\n'
Check = Callable[..., tuple[int, dict[str, dict[str, str]]]]


@pytest.fixture
def service(open_rig: Callable[..., Rig]) -> Iterator[Service]:
    with opened(open_rig) as made:
        yield made


@pytest.fixture
def flask(service: Service) -> Callable[..., Result]:
    def run(*arguments: str, **options: Any) -> Result:
        return service.rig.app.test_cli_runner().invoke(args=["wechat", *arguments], **options)

    return run


@pytest.fixture
def check(service: Service, flask: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Exit status, and the findings by subject; the settings come from the environment as for an operator."""

    def run(*arguments: str, **variables: str) -> tuple[int, dict[str, dict[str, str]]]:
        account = service.rig.app.extensions["yingda"].settings.wechat_accounts[0]
        values = {
            "WECHAT_TOKEN": service.wechat.token,
            "WECHAT_APPID": account.appid,
            "WECHAT_APPSECRET": SECRET,
            "WECHAT_AES_KEY": AES_KEY,
            "WECHAT_ACCOUNT_KIND": "verified",
            "WECHAT_API_BASE": account.api_base,
            "PUBLIC_URL": service.rig.url,
            **variables,
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        result = flask("check", "--json", *arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        for secret in (SECRET, AES_KEY, service.wechat.tokens.stable()[0]):
            assert secret not in result.output
        return result.exit_code, {each["subject"]: each for each in json.loads(result.output)}

    return run


def test_an_account_that_is_right_passes_and_nothing_reaches_a_customer(
    service: Service, check: Check
) -> None:
    status, found = check()
    assert status == 0
    fine = {subject for subject, each in found.items() if each["state"] == "fine"}
    assert fine == {"WeChat default", "WeChat default kind", "callback default", "callback default event"}
    assert "safe-mode event is taken" in found["callback default event"]["words"]
    assert found["callback default address"]["state"] == "look"
    assert (service.wechat.pushes, service.wechat.typing, service.rig.log()) == ([], [], [])


def test_the_check_leaves_the_token_in_use_as_it_is(service: Service, check: Check) -> None:
    before = service.wechat.tokens.stable()[0]
    check()
    assert service.wechat.tokens.stable()[0] == before


@pytest.mark.parametrize(
    ("variables", "subject", "words"),
    [
        ({"WECHAT_APPSECRET": "wrong"}, "WeChat default", "the AppSecret is wrong"),
        ({"WECHAT_TOKEN": "another-callback-token"}, "callback default", "refuses the signature"),
        (
            {"WECHAT_AES_KEY": "anotherKeyAnotherKeyAnotherKeyAnotherKey01A"},
            "callback default event",
            "a genuine event is answered with HTTP",
        ),
        (
            {"WECHAT_STRATEGY": "push", "WECHAT_ACCOUNT_KIND": "unverified"},
            "WeChat default strategy",
            "push with an unverified account",
        ),
        ({"PUBLIC_URL": "http://localhost:9"}, "callback default", "cannot be reached"),
        ({"WECHAT_MODE": "plain"}, "callback default event", "a genuine event is answered with HTTP 403"),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy(
    check: Check, variables: dict[str, str], subject: str, words: str
) -> None:
    status, found = check(**variables)
    assert status == 1
    assert found[subject]["state"] == "wrong"
    assert words in found[subject]["words"]
    assert found[subject]["remedy"]


def test_the_white_list_is_explained_with_the_address_to_add(service: Service, check: Check) -> None:
    service.wechat.ip_whitelist = {"192.0.2.1"}
    status, found = check()
    assert status == 1
    assert found["WeChat default"]["remedy"].startswith("add 127.0.0.1 ")


@pytest.mark.parametrize(
    ("verified", "kind", "state"),
    [
        (True, "verified", "fine"),
        (False, "verified", "wrong"),
        (True, "unverified", "look"),
        (False, "unverified", "fine"),
    ],
)
def test_kind_and_permission_are_compared(
    service: Service, check: Check, verified: bool, kind: str, state: str
) -> None:
    service.wechat.verified = verified
    _, found = check(WECHAT_ACCOUNT_KIND=kind)
    assert found["WeChat default kind"]["state"] == state


def test_a_redirect_in_front_of_the_callback_is_pointed_out(service: Service, check: Check) -> None:
    proxy = Flask("proxy")
    proxy.add_url_rule("/<path:path>", "go", lambda path: redirect(f"{service.rig.url}/{path}", 301))
    with Server(proxy) as server:
        _, found = check("--url", server.url)
    assert "redirects (HTTP 301)" in found["callback default"]["words"]


def test_a_program_that_takes_everything_is_not_the_gateway(check: Check) -> None:
    from flask import request

    other = Flask("other")
    other.add_url_rule(
        "/<path:path>",
        "any",
        lambda path: request.args.get("echostr", "success"),
        methods=["GET", "POST"],
    )
    with Server(other) as server:
        _, found = check("--url", server.url)
    assert "forged event is answered with HTTP 200" in found["callback default event"]["words"]


def test_an_unknown_account_fails(check: Check) -> None:
    status, found = check("--account", "nobody")
    assert (status, found["WeChat"]["words"]) == (1, "there is no account nobody")


def test_a_plain_account_is_tried_in_plain_mode(open_rig: Callable[..., Rig], check: Check) -> None:
    with ExitStack() as stack:
        plain = stack.enter_context(opened(open_rig, wechat_mode="plain"))
        _, found = check("--url", plain.rig.url, WECHAT_MODE="plain")
    assert found["callback default event"]["state"] == "fine"


def test_a_menu_is_pushed_shown_and_deleted(
    flask: Callable[..., Result], service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "menu.toml"
    file.write_text(MENU, "utf-8")
    assert "no menu" in flask("menu", "show").output
    assert flask("menu", "push", str(file)).exit_code == 0
    assert service.wechat.menu == {"button": [{"name": "帮助", "type": "click", "key": "help"}]}
    shown = flask("menu", "show", "--account", "default").output
    (tmp_path / "menu.json").write_text(shown, "utf-8")
    assert flask("menu", "push", str(tmp_path / "menu.json")).exit_code == 0
    assert flask("menu", "delete", input="n\n").exit_code == 1
    assert service.wechat.menu is not None
    assert flask("menu", "delete", "--yes").exit_code == 0
    assert service.wechat.menu is None


def test_a_menu_that_wechat_would_refuse_never_leaves(
    flask: Callable[..., Result], service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "menu.toml"
    file.write_text(MENU.replace("帮助", "一二三四五六"), "utf-8")
    result = flask("menu", "push", str(file))
    assert (result.exit_code, service.wechat.tokens.fetches) == (1, 0)
    assert "name has 18 bytes, 16 are allowed" in result.output


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda wechat: wechat.__dict__.update(verified=False, service=False), "may not do this (48001)"),
        (lambda wechat: wechat.__dict__.update(ip_whitelist=set()), "calls from 127.0.0.1 (40164)"),
        (lambda wechat: wechat.__dict__.update(appsecret="another"), "the AppSecret is wrong (40125)"),
    ],
)
def test_what_wechat_refuses_is_said_in_words(
    flask: Callable[..., Result], service: Service, fault: Callable[[LocalWeChat], None], words: str
) -> None:
    fault(service.wechat)
    result = flask("menu", "show")
    assert result.exit_code == 1
    assert words in result.output


def test_a_menu_of_nobody(flask: Callable[..., Result]) -> None:
    assert "there is no account nobody" in flask("menu", "show", "--account", "nobody").output
