"""Transactions: committed or rolled back as a whole, counted, and readers never wait for a writer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, event, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from errors import Unavailable
from storage.breaker import Busy
from storage.conflicts import is_lock_conflict
from storage.db import Database, in_transaction
from storage.models import DialogueSession
from tests.engines import on_servers

COLUMNS = {"platform": "web", "account": "a", "session_key": "k", "created_ms": 1, "updated_ms": 1}


def dialogue(user: str) -> DialogueSession:
    return DialogueSession(user_id=user, **COLUMNS)


def users(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(text("SELECT user_id FROM sessions ORDER BY user_id")))


def test_a_write_is_kept_whole_or_not_at_all(db: Database) -> None:
    with db.write() as session:
        session.add(dialogue("kept"))
    with pytest.raises(IntegrityError), db.write() as session:
        session.add_all([dialogue("dropped"), dialogue("kept")])
    assert users(db) == ["kept"]


def test_steps_are_kept_together_or_not_at_all(db: Database) -> None:
    def two(connection: Connection, *names: str) -> None:
        for name in names:
            connection.execute(insert(DialogueSession), {"user_id": name, **COLUMNS})

    db.steps(lambda connection: two(connection, "a", "b"))
    for _ in range(3):
        with pytest.raises(IntegrityError):
            db.steps(lambda connection: two(connection, "dropped", "a"))
        # the connection that comes next has nothing open
        db.once(update(DialogueSession).values(updated_ms=DialogueSession.updated_ms + 1))
    assert users(db) == ["a", "b"]
    with db.read() as session:
        assert set(session.scalars(select(DialogueSession.updated_ms))) == {4}


def test_no_statement_is_announced(db: Database) -> None:
    # to anybody: one listener of these two kinds, and each statement costs a fifth more
    assert not db.engine._has_events
    assert not db.engine.dialect._has_events


def test_a_reader_does_not_wait_for_a_writer_nor_see_its_work(db: Database) -> None:
    with db.write() as session:
        session.add(dialogue("unseen"))
        session.flush()
        seen: list[list[str]] = []
        reader = threading.Thread(target=lambda: seen.append(users(db)))
        reader.start()
        reader.join(3)
        assert seen == [[]]
    assert users(db) == ["unseen"]


def test_open_transactions_are_known_per_thread(db: Database) -> None:
    assert not in_transaction()
    with db.read():
        assert in_transaction()
        with db.read():
            pass
        assert in_transaction()
        elsewhere: list[bool] = []
        other = threading.Thread(target=lambda: elsewhere.append(in_transaction()))
        other.start()
        other.join(3)
        assert elsewhere == [False]
    assert not in_transaction()


def test_a_failed_transaction_is_not_open_any_more(db: Database) -> None:
    with pytest.raises(RuntimeError), db.read():
        raise RuntimeError
    assert not in_transaction()


def test_ping_answers(db: Database) -> None:
    db.ping()


def test_ping_raises_when_the_database_is_away(tmp_path: Path) -> None:
    db = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable):
        db.ping()
    db.close()


def test_sqlite_makes_its_folder_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'new' / 'folder' / 'yingda.db'}")
    with db.read() as session:
        pragmas = [
            session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
    db.close()


def test_a_busy_sqlite_counts_as_a_lock_conflict(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'busy.db'}")
    impatient = create_engine(db.engine.url, connect_args={"timeout": 0.01})
    with db.write() as session, impatient.connect() as second:
        session.execute(text("SELECT 1"))
        with pytest.raises(OperationalError) as caught:
            second.exec_driver_sql("CREATE TABLE late (id INTEGER)")
    assert is_lock_conflict(caught.value)
    assert not is_lock_conflict(RuntimeError("database is locked"))
    impatient.dispose()
    db.close()


# SQLite locks the whole file: then nobody can write
@pytest.mark.parametrize("database_url", on_servers, indirect=True)
def test_a_locked_row_keeps_nobody_else_from_the_database(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with db.write() as session:
        session.add_all([dialogue("wanted"), dialogue("other")])
    rename = "UPDATE sessions SET session_key = 'new' WHERE user_id = '{}'"
    refused: list[Exception] = []

    def want() -> None:
        try:
            with db.write() as session:
                session.execute(text(rename.format("wanted")))
        except Unavailable as problem:
            refused.append(problem)

    with db.write() as session:
        session.execute(text(rename.format("wanted")))
        waiting = threading.Thread(target=want)
        waiting.start()
        waiting.join(20)
        assert [type(each) for each in refused] == [Busy]
        db.once(text(rename.format("other")))
    assert not [each for each in caplog.records if each.name == "storage.breaker"]


def test_a_database_error_does_not_quote_peoples_words(db: Database) -> None:
    with pytest.raises(Unavailable if db.dialect == "sqlite" else ProgrammingError) as caught:
        with db.read() as session:
            session.execute(text("SELECT * FROM missing WHERE name = :words"), {"words": "13800138000"})
    assert "13800138000" not in f"{caught.value} {caught.value.__cause__}"


def test_a_closed_database_is_away_and_leaves_no_connection_behind(db: Database) -> None:
    ended: list[object] = []
    event.listen(db.engine, "close", lambda connection, _record: ended.append(connection))
    with db.read() as session:
        used = session.connection().connection.dbapi_connection
        db.close()
    assert used in ended
    with pytest.raises(Unavailable):
        db.ping()
