"""`flask log …`: fill the message log with made-up rows, and write it to a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from flask.cli import AppGroup

from errors import BadRequest
from ops.db_cli import database
from ops.log_query import LogQuery, checked
from ops.logged_message import Format, lines
from ops.whole_file import whole_file
from storage.log import MessageLog
from storage.seed import seed

log_commands = AppGroup("log", help="Fill or export the message log.")

STDOUT = "-"


@log_commands.command("seed")
@click.option("--count", type=click.IntRange(1, 100_000_000), default=1_000_000, show_default=True)
@click.option(
    "--days", type=click.IntRange(1, 3_650), default=30, show_default=True, help="spread over so many days"
)
def seed_log(count: int, days: int) -> None:
    """Add made-up messages, to see the log and its console under load."""
    with click.progressbar(length=count, label=f"Adding {count:,} messages", show_pos=True) as bar:
        seed(database(), count, days=days, progress=bar.update)


@log_commands.command("export")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--output", default=STDOUT, show_default=True, help="file to write; `-` is standard output")
@click.option("--platform", default="")
@click.option("--account", default="")
@click.option("--user-id", "user_id", default="", help="the platform's id of the customer")
@click.option("--session", default="", help="key of the dialogue")
@click.option("--status", default="")
@click.option("--source", default="")
@click.option("--error", default="", help="any, none, or an exact code")
@click.option("--q", default="", help="part of the question or the answer")
@click.option("--start", default="", help="unix seconds or ISO 8601, UTC when no zone is given")
@click.option("--end", default="", help="first moment not included any more")
def export_log(form: Format, output: str, **filters: str) -> None:
    """Write the messages that fit, the newest first."""
    try:
        query = checked({name: value for name, value in filters.items() if value}, LogQuery)
    except BadRequest as problem:
        raise click.UsageError(problem.message) from None
    rows = MessageLog(database()).export(query.filters())
    if output == STDOUT:
        for line in lines(rows, form):
            sys.stdout.write(line)
        return
    with whole_file(Path(output)) as file, click.progressbar(rows, label="Exporting", show_pos=True) as bar:
        for line in lines(bar, form):
            file.write(line.encode())
