"""`flask db …`: the schema, from the command line."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from storage import schema
from storage.db import Database

db_commands = AppGroup("db", help="Bring the database's tables up to date, or ask whether they are.")


def database() -> Database:
    """The running app's database."""
    found: Database = current_app.extensions["yingda"].db
    return found


@db_commands.command("upgrade")
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Make or change the tables up to REVISION. Safe to run from several hosts at once."""
    db = database()
    before = schema.current(db)
    schema.upgrade(current_app.extensions["yingda"].settings.database_url, revision)
    after = schema.current(db)
    click.echo(
        f"schema is at {after}" if before == after else f"schema went from {before or 'empty'} to {after}"
    )


@db_commands.command("current")
def current() -> None:
    """Print the version the database is at and the one this code needs."""
    click.echo(f"database: {schema.current(database()) or 'empty'}\ncode: {schema.head()}")


@db_commands.command("check")
def check() -> None:
    """Fail unless the database has exactly the tables this code needs."""
    db = database()
    if not schema.is_current(db):
        raise click.ClickException("the schema is not current: run `flask db upgrade`")
    if found := schema.differences(db):
        raise click.ClickException("\n".join(["the tables differ from the models:", *found]))
    click.echo(f"schema is current ({schema.head()})")
