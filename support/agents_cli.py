"""`flask agents …`: the accounts from the command line, above all the first. There is no default password."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup
from pydantic import TypeAdapter, ValidationError

from errors import YingdaError
from storage.audit import By
from support.bodies import Username
from support.rights import ROLES
from support.rights_doc import markdown

if TYPE_CHECKING:
    from support.people import People

agents_commands = AppGroup("agents", help="Keep the accounts of the desk's agents.")
BY = By("cli")


@agents_commands.command("create-admin")
@click.argument("username")
@click.option("--name", help="what others see; default: the user name")
def create_admin(username: str, name: str | None) -> None:
    """Make an account with every right. Asks for the password, or reads one line of standard input."""
    _create(username, name, "admin")


@agents_commands.command("create")
@click.argument("username")
@click.option("--role", type=click.Choice(ROLES), default="agent", show_default=True)
@click.option("--name", help="what others see; default: the user name")
def create(username: str, role: str, name: str | None) -> None:
    """Make an account. Asks for the password as `create-admin` does."""
    _create(username, name, role)


@agents_commands.command("set-password")
@click.argument("username")
def set_password(username: str) -> None:
    """Set somebody's password, which signs them out everywhere."""
    username = username.strip().lower()
    if _people().agents.get(username) is None:
        raise click.ClickException("there is no such account")
    _done(lambda: _people().sign_ins.reset_password(BY, username, _password()))
    click.echo(f"The password of {username} is set; every sign-in of it has ended.")


@agents_commands.command("list")
def list_agents() -> None:
    """Show every account, also those that are off."""
    found = _people().agents.all(disabled=True)
    if not found:
        click.echo("There are no accounts: make the first with `flask agents create-admin NAME`.")
    for account in found:
        state = account.status if account.enabled else "off"
        click.echo(f"{account.username:<24} {account.role:<10} {state:<8} {account.name}")


@agents_commands.command("disable")
@click.argument("username")
def disable(username: str) -> None:
    """Switch an account off, which signs it out everywhere."""
    _switch(username, False)


@agents_commands.command("enable")
@click.argument("username")
def enable(username: str) -> None:
    """Switch an account on again."""
    _switch(username, True)


@agents_commands.command("rights")
def rights() -> None:
    """Print docs/rights.md: who may do what, and which endpoint needs which right."""
    click.echo(markdown(current_app.extensions["yingda"].routes), nl=False)


def _create(username: str, name: str | None, role: str) -> None:
    try:
        username = TypeAdapter(Username).validate_python(username)
    except ValidationError:
        raise click.ClickException(
            "a user name is 2 to 64 letters, digits and . _ -, beginning with a letter or digit"
        ) from None
    _done(
        lambda: _people().sign_ins.create(
            BY,
            username=username,
            name=name or username,
            role=role,  # type: ignore[arg-type] # click has checked it
            password=_password(),
            max_sessions=5,
        )
    )
    click.echo(f"The account {username} is made ({role}).")


def _switch(username: str, enabled: bool) -> None:
    username = username.strip().lower()
    _done(lambda: _people().agents.change(BY, username, {"enabled": enabled}))
    click.echo(f"The account {username} is {'on' if enabled else 'off'}.")


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _done(step: Callable[[], object]) -> None:
    try:
        step()
    except YingdaError as error:
        raise click.ClickException(error.message) from None


def _people() -> People:
    found: People = current_app.extensions["yingda"].people
    return found
