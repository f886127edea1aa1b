"""`flask db` and `flask log`, run as an operator runs them."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from flask import Flask

from ops.db_cli import db_commands
from ops.log_cli import log_commands
from storage import schema
from storage.db import Database
from storage.log import Filters, MessageLog


class Shell:
    """An app with the commands, on a database of its own."""

    def __init__(self, url: str) -> None:
        self.db = Database(url)
        self.app = Flask("cli")
        self.app.extensions["yingda"] = SimpleNamespace(
            settings=SimpleNamespace(database_url=url), db=self.db
        )
        self.app.cli.add_command(db_commands)
        self.app.cli.add_command(log_commands)

    def run(self, *words: str) -> Result:
        return self.app.test_cli_runner().invoke(args=list(words))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(f"sqlite:///{tmp_path / 'cli.db'}")


@pytest.fixture
def filled(shell: Shell) -> Shell:
    assert shell.run("db", "upgrade").exit_code == 0
    assert shell.run("log", "seed", "--count", "300", "--days", "3").exit_code == 0
    return shell


def test_a_new_database_is_upgraded_and_then_current(shell: Shell) -> None:
    before = shell.run("db", "check")
    assert before.exit_code == 1
    assert "flask db upgrade" in before.output
    assert shell.run("db", "current").output == f"database: empty\ncode: {schema.head()}\n"
    assert f"from empty to {schema.head()}" in shell.run("db", "upgrade").output
    assert f"is at {schema.head()}" in shell.run("db", "upgrade").output
    assert shell.run("db", "current").output == f"database: {schema.head()}\ncode: {schema.head()}\n"
    assert shell.run("db", "check").exit_code == 0


def test_check_names_what_differs_from_the_models(shell: Shell) -> None:
    shell.run("db", "upgrade")
    with shell.db.engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_exchanges_user_time")
    found = shell.run("db", "check")
    assert found.exit_code == 1
    assert "ix_exchanges_user_time" in found.output


def test_seeding_adds_as_many_rows_as_asked(filled: Shell) -> None:
    log = MessageLog(filled.db)
    assert log.page(Filters(), 1, 1).total == 300
    assert filled.run("log", "seed", "--count", "10").exit_code == 0
    assert log.page(Filters(), 1, 1).total == 310
    assert filled.run("log", "seed", "--count", "0").exit_code == 2


def test_an_export_to_a_file_is_complete_and_private(filled: Shell, tmp_path: Path) -> None:
    for form in ("csv", "jsonl"):
        path = tmp_path / f"out.{form}"
        assert filled.run("log", "export", "--format", form, "--output", str(path)).exit_code == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        from_csv = [int(row["id"]) for row in csv.DictReader(file)]
    from_lines = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    expected = [row.id for row in MessageLog(filled.db).export(Filters())]
    assert from_csv == from_lines == expected
    assert len(expected) == 300
    assert not list(tmp_path.glob("*.part"))


def test_an_export_to_standard_output_holds_nothing_else(filled: Shell) -> None:
    result = filled.run("log", "export", "--format", "jsonl", "--source", "library", "--platform", "wechat")
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert {(row["source"], row["platform"]) for row in rows} == {("library", "wechat")}
    filters = Filters(platform="wechat", source="library")
    assert len(rows) == len(list(MessageLog(filled.db).export(filters)))


@pytest.mark.parametrize(
    ("option", "value"), [("--start", "yesterday"), ("--status", "lost"), ("--source", "x"), ("--end", "-1")]
)
def test_a_bad_filter_is_a_usage_error_that_names_it(filled: Shell, option: str, value: str) -> None:
    result = filled.run("log", "export", option, value)
    assert result.exit_code == 2
    assert option.strip("-") in result.output


def test_a_file_that_cannot_be_written_is_said_in_words(filled: Shell, tmp_path: Path) -> None:
    result = filled.run("log", "export", "--output", str(tmp_path / "none" / "out.csv"))
    assert result.exit_code == 1
    assert "No such file" in result.output


def test_an_export_that_breaks_leaves_no_file_behind(
    filled: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("the earlier export")

    def broken(*_: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("ops.logged_message._csv_line", broken)
    assert isinstance(filled.run("log", "export", "--output", str(path)).exception, RuntimeError)
    assert path.read_text() == "the earlier export"
    assert not list(tmp_path.glob("*.part"))
