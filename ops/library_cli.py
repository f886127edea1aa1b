"""`flask library …`: import and export the Q&A library, and ask who would answer a text."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup

from errors import BadRequest, PayloadTooLarge
from ops import library_import, library_sheets
from ops.db_cli import database
from ops.library_sheets import FILE_CAP, Form
from ops.whole_file import whole_file
from storage.library import Library

library_commands = AppGroup("library", help="Import, export or try the Q&A library.")

SHOWN = 50
"""Rows that an import speaks of; the numbers are of all."""


@library_commands.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="say what would happen, and do nothing")
def import_library(file: Path, dry_run: bool) -> None:
    """Import FILE (.csv, .xlsx or .json): all of it, or nothing if one row cannot be used."""
    try:
        form = library_sheets.form_of(file.name)
        if file.stat().st_size > FILE_CAP:
            raise PayloadTooLarge(f"the file is larger than {FILE_CAP} bytes")
        records = library_sheets.read(file.read_bytes(), form)
    except (BadRequest, PayloadTooLarge) as problem:
        raise click.ClickException(problem.message) from None
    report = library_import.run(Library(database()), records, "command line", dry_run=dry_run)
    told = [row for row in report.rows if row.problem]
    for row in told[:SHOWN]:
        click.echo(f"row {row.row}: {row.outcome}: {row.problem}")
    if len(told) > SHOWN:
        click.echo(f"… and {len(told) - SHOWN} more")
    click.echo(
        f"{report.new} new, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.conflicts} in conflict, {report.invalid} invalid"
    )
    if library_import.refused(report):
        raise click.ClickException("nothing was imported")
    if dry_run:
        click.echo("nothing was imported: --dry-run")


@library_commands.command("export")
@click.option(
    "--format", "form", type=click.Choice(["csv", "xlsx", "json"]), default="csv", show_default=True
)
@click.option("--output", default="-", show_default=True, help="file to write; `-` is standard output")
def export_library(form: Form, output: str) -> None:
    """Write every entry."""
    content = library_sheets.written(Library(database()).everything(), form)
    if output == "-":
        sys.stdout.buffer.write(content)
        return
    with whole_file(Path(output)) as file:
        file.write(content)


@library_commands.command("test")
@click.argument("text")
@click.option("--platform", default="", help="as a message of this platform")
@click.option("--account", default="")
def test_library(text: str, platform: str, account: str) -> None:
    """Say which entry would answer TEXT, and why."""
    found = current_app.extensions["yingda"].shelf.matches(text, platform, account)
    if not found:
        raise click.ClickException("no entry answers this")
    for place, match in enumerate(found[:10]):
        said = "answers" if place == 0 else "fits too"
        click.echo(
            f"entry {match.entry_id} {said}: {match.mode} {match.phrasing!r}, "
            f"score {match.score:g}, priority {match.priority}"
        )
    click.echo(f"\n{found[0].answer}")
