"""The audit: there with what it tells of, and never changed or deleted by this program."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from handler.handoff import Escalation
from storage.agents_tables import AuditEntry
from storage.audit import DAY_MS, Audit, By, record
from storage.db import Database
from storage.handoff_views import HandoffViews
from storage.handoffs import Handoffs
from storage.sessions import Sessions

ROOT = Path(__file__).parents[2]


def note(db: Database, action: str, target: str = "", actor: str = "boss") -> None:
    by = By(actor, "request-1", "192.0.2.7")
    db.transact(lambda session: record(session, by, action, target, {"why": "因为"}))


def test_an_entry_is_there_only_with_what_it_tells_of(db: Database) -> None:
    def break_off() -> None:
        with db.write() as session:
            record(session, By("boss"), "never")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert Audit(db).before(None, 9) == []
    note(db, "done", "wang")
    [entry] = Audit(db).before(None, 9)
    assert (entry.actor, entry.action, entry.target, entry.detail, entry.request_id, entry.address) == (
        "boss", "done", "wang", {"why": "因为"}, "request-1", "192.0.2.7",
    )  # fmt: skip


def test_pages_follow_each_other_and_filters_narrow_them(db: Database) -> None:
    for number in range(7):
        note(db, "a" if number % 2 else "b", f"t{number}", actor="x" if number < 3 else "y")
    audit = Audit(db)
    first = audit.before(None, 3)
    second = audit.before(first[-1].id, 9)
    assert [each.target for each in (*first, *second)] == [f"t{n}" for n in reversed(range(7))]
    assert [each.target for each in audit.before(None, 9, actor="x", action="b")] == ["t2", "t0"]
    assert [each.target for each in audit.before(None, 9, target="t4")] == ["t4"]
    moment = first[0].at_ms
    assert audit.before(None, 9, end_ms=second[-1].at_ms) == []
    assert len(audit.before(None, 9, start_ms=second[-1].at_ms, end_ms=moment + 1)) == 7


def test_no_statement_changes_or_deletes_an_entry(db: Database) -> None:
    note(db, "done")
    table = AuditEntry.__table__
    statements = [
        update(AuditEntry).values(actor="nobody"),
        delete(AuditEntry),
        update(table).where(table.c.id == 1).values(actor="nobody"),
        delete(table).where(table.c.id == 1),
    ]
    for statement in statements:
        with pytest.raises(TypeError, match="only ever added"), db.write() as session:
            session.execute(statement)

    def change(session: object) -> None:
        entry = session.scalars(select(AuditEntry)).one()  # type: ignore[attr-defined]
        entry.actor = "nobody"

    with pytest.raises(TypeError, match="only ever added"):
        db.transact(change)
    with pytest.raises(TypeError, match="only ever added"), db.write() as session:
        session.delete(session.scalars(select(AuditEntry)).one())
    assert [each.actor for each in Audit(db).before(None, 9)] == ["boss"]


def test_what_is_older_than_it_is_kept_goes_and_that_is_recorded(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.audit.PURGED_AT_ONCE", 2)
    for _ in range(5):
        note(db, "old")
    session_id = Sessions(db).ensure("web", "default", "v", "v")
    Handoffs(db).escalate(session_id, Escalation(), actor="customer", limit=9, line="")
    audit, views = Audit(db), HandoffViews(db)
    first, last = audit.before(None, 9)[-1].at_ms, views.steps(session_id)[0].created_ms
    assert audit.purge(0, last + 10**12) == audit.purge(30, first + 30 * DAY_MS) == 0
    assert len(audit.before(None, 9)) == 5
    assert audit.purge(30, last + 1 + 30 * DAY_MS) == 6
    assert views.steps(session_id) == []
    kept = audit.before(None, 9)
    assert {(each.actor, each.action) for each in kept} == {("system", "audit.purged")}
    assert sum(each.detail["entries"] for each in kept) == 6
    assert {each.detail["of"] for each in kept} == {"audit", "handoff_steps"}


def test_an_expiry_is_no_way_around_for_others(db: Database) -> None:
    note(db, "done")
    table = AuditEntry.__table__
    # statements are compiled once: an allowed one must not stand in for one that is not
    audit = Audit(db)
    assert audit.purge(1, audit.before(None, 1)[0].at_ms + 2 * DAY_MS) == 1
    numbers = [each.id for each in audit.before(None, 9)]
    with pytest.raises(TypeError, match="only ever added"), db.write() as session:
        session.execute(delete(table).where(table.c.id.in_(numbers)))
    assert len(audit.before(None, 9)) == 1


def test_the_table_is_named_where_it_is_added_to_and_read_and_nowhere_else() -> None:
    for path in (ROOT / "storage").rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        if place in {"storage/audit.py", "storage/agents_tables.py"} or "migrations" in place:
            continue
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)
        }
        assert "AuditEntry" not in names, place
