"""The migrations make exactly the tables of storage/models.py, on every engine, whoever runs them at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url

from storage import schema
from storage.db import Database
from storage.engine import make_engine
from storage.handoffs import Handoffs
from storage.tables import Base

ROOT = Path(__file__).resolve().parents[2]
UPGRADE = "import sys; from storage import schema; schema.upgrade(sys.argv[1])"


def tables(url: str) -> set[str]:
    engine = make_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_an_upgrade_from_nothing_makes_the_models_tables(db: Database) -> None:
    assert schema.is_current(db)
    assert schema.current(db) == schema.head()
    assert schema.differences(db) == []


def test_the_head_is_the_one_that_alembic_finds() -> None:
    steps = ScriptDirectory(str(schema.MIGRATIONS))
    assert schema.head() == steps.get_current_head()


def test_a_worker_that_only_serves_loads_no_tool_for_schemas_or_workbooks() -> None:
    asked = "import sys, app; print(*sorted({'alembic', 'openpyxl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_an_empty_database_is_not_current_and_says_what_it_lacks(database_url: str) -> None:
    db = Database(database_url)
    try:
        assert schema.current(db) is None
        assert not schema.is_current(db)
        assert any("exchanges" in difference for difference in schema.differences(db))
    finally:
        db.close()


def test_a_second_upgrade_changes_nothing(db: Database, database_url: str) -> None:
    schema.upgrade(database_url)
    assert schema.is_current(db)


def test_down_and_up_again_gives_the_same_schema(database_url: str) -> None:
    schema.upgrade(database_url)
    schema.downgrade(database_url, "base")
    assert tables(database_url) == {"alembic_version"}
    schema.upgrade(database_url)
    db = Database(database_url)
    try:
        assert schema.differences(db) == []
    finally:
        db.close()


def test_processes_that_upgrade_at_once_take_turns(database_url: str) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, database_url], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in running:
        _, errors = process.communicate(timeout=50)
        assert process.returncode == 0, errors.decode()
    assert tables(database_url) == {"alembic_version", *Base.metadata.tables}


def test_a_failing_step_leaves_nothing_half_made(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if make_url(database_url).get_backend_name() == "mysql":
        return  # MariaDB commits each CREATE by itself

    def fail(*_: object) -> None:
        raise RuntimeError("the step failed")

    monkeypatch.setattr("alembic.op.create_index", fail)
    with pytest.raises(RuntimeError, match="the step failed"):
        schema.upgrade(database_url)
    assert tables(database_url) == set()


def test_the_mariadb_scheme_gives_case_sensitive_tables_too(database_url: str) -> None:
    url = make_url(database_url)
    if url.get_backend_name() != "mysql":
        return
    url = url.set(drivername="mariadb+pymysql")
    schema.upgrade(url.render_as_string(hide_password=False))
    engine = make_engine(url.render_as_string(hide_password=False))
    try:
        options = inspect(engine).get_table_options("exchanges")
        assert "utf8mb4_bin" in options.values()
    finally:
        engine.dispose()


def test_whoever_waited_for_a_person_before_the_desk_waits_on(database_url: str) -> None:
    schema.upgrade(database_url, "0007")
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sessions (id, platform, account, user_id, session_key, created_ms, updated_ms)"
            " VALUES (1, 'shop', 'default', 'u', 'u', 5, 5)"
        )
        connection.exec_driver_sql(
            "INSERT INTO messages (id, session_id, role, text, created_ms) VALUES (7, 1, 'user', 'x', 5)"
        )
        connection.exec_driver_sql("INSERT INTO transfers (id, session_id, created_ms) VALUES (1, 1, 6)")
    engine.dispose()
    schema.upgrade(database_url)
    db = Database(database_url)
    row = Handoffs(db).get(1)
    assert row is not None
    assert (row.status, row.pending_ms, row.told_until, row.tags) == ("pending_manual", 6, 7, [])
    db.close()
    schema.downgrade(database_url, "0007")
    engine = make_engine(database_url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT session_id, created_ms FROM transfers").all()
    engine.dispose()
    assert [tuple(each) for each in found] == [(1, 6)]
