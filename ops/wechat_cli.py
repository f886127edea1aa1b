"""`flask wechat …`: is an account set up from end to end, and what is in its menu."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import orjson
from flask import current_app
from flask.cli import AppGroup

from adapters.wechat import menu
from adapters.wechat.client import OfficialApi
from adapters.wechat.errcodes import WRONG_SETTINGS, in_words
from errors import BadRequest, ConfigurationError, UpstreamError
from ops import wechat_probes as probes
from ops.findings import Finding, wrong
from settings import Settings, load_settings
from settings.accounts import WeChatAccount

wechat_commands = AppGroup("wechat", help="Check WeChat accounts and look after their menus.")


@wechat_commands.group("menu")
def menu_commands() -> None:
    """Show, replace or remove an account's custom menu."""


of_account = click.option("--account", default="", help="name of the account; the first one if left out")


@menu_commands.command("push")
@click.argument("file", type=click.Path(path_type=Path))
@of_account
def push_menu(file: Path, account: str) -> None:
    """Make the menu in FILE, TOML or JSON, the account's."""
    try:
        made = menu.read(file)
    except BadRequest as problem:
        raise click.ClickException(f"the menu cannot be used:\n{problem.message}") from None
    with api_of(account) as api:
        api.create_menu(made)
    click.echo("The menu is in place. Customers who looked at the account lately see it within a day.")


@menu_commands.command("show")
@of_account
def show_menu(account: str) -> None:
    """Print the menu as JSON that `push` takes."""
    with api_of(account) as api:
        found = api.menu()
    click.echo(json.dumps(found, ensure_ascii=False, indent=2) if found else "The account has no menu.")


@menu_commands.command("delete")
@of_account
@click.option("--yes", is_flag=True, help="do not ask")
def delete_menu(account: str, yes: bool) -> None:
    """Remove the menu."""
    if not yes:
        click.confirm("Remove the menu for every customer?", abort=True)
    with api_of(account) as api:
        api.delete_menu()
    click.echo("The menu is gone.")


@wechat_commands.command("check")
@click.option("--account", default="", help="name of the account; all if left out")
@click.option("--url", default="", help="https://… at which WeChat reaches this gateway; default: PUBLIC_URL")
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def check(account: str, url: str, as_json: bool) -> None:
    """Try an account from end to end; exit status 1 when something must be mended."""
    found: list[Finding] = []
    for finding in examine(account, url):
        found.append(finding)
        if not as_json:
            click.echo(finding.line())
    if as_json:
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    if any(each.state == "wrong" for each in found):
        raise SystemExit(1)


def examine(name: str, url: str) -> Iterator[Finding]:
    """Every finding about this account, or about all, in the order in which things are best mended."""
    try:
        settings = load_settings()
    except ConfigurationError as problem:
        yield from (wrong("settings", line, "correct this variable") for line in str(problem).splitlines())
        return
    accounts = [each for each in settings.wechat_accounts if name in {"", each.name}]
    if not accounts:
        yield wrong("WeChat", f"there is no account {name}".strip(), "look into WECHAT_ACCOUNTS_FILE")
    for account in accounts:
        yield from examine_account(settings, account, url or settings.public_url)


def examine_account(settings: Settings, account: WeChatAccount, public: str) -> Iterator[Finding]:
    """One account: settings, token, white list, clock, permission, and the callback as WeChat uses it."""
    callback = f"{(public or probes.local_gateway(settings)).rstrip('/')}/api/wechat/{account.name}"
    yield from probes.check_choices(account)
    yield from probes.check_token(account, settings.sandbox_wechat)
    yield from probes.check_permission(account)
    yield from probes.check_address(account, callback)
    reached = list(probes.check_handshake(account, callback))
    yield from reached
    if all(each.state == "fine" for each in reached):
        yield from probes.check_event(account, callback)


@contextmanager
def api_of(name: str) -> Iterator[OfficialApi]:
    """The account's API; whatever it raises ends the command in words."""
    yingda = current_app.extensions["yingda"]
    accounts: tuple[WeChatAccount, ...] = yingda.settings.wechat_accounts
    account = next((each for each in accounts if name in {"", each.name}), None)
    if account is None:
        raise click.ClickException(f"there is no account {name}".rstrip())
    if account.appsecret is None:
        raise click.ClickException(f"the account {account.name} has no AppSecret: set WECHAT_APPSECRET")
    api = OfficialApi(account, yingda.tokens)
    try:
        yield api
    except UpstreamError as problem:
        code = re.match(r"wechat_(-?\d+)", problem.message)
        number = int(code[1]) if code else 0
        # of the white list only what was remembered has the address to add
        known = api.trouble() if number in WRONG_SETTINGS else ""
        raise click.ClickException(known or (in_words(number) if code else problem.message)) from None
