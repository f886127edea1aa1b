"""Pages, cursors, filters and search agree with a plain walk over all rows, on every engine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import event, func, select, text, update

from handler.message import InboundMessage
from storage.db import Database
from storage.exchanges import Exchanges
from storage.log import Filters, MessageLog, Position, Slice
from storage.models import DialogueSession, Exchange
from storage.seed import seed
from storage.totals import Totals

DAY = 86_400_000
ROWS = 150


@pytest.fixture
def rows(db: Database) -> list[Exchange]:
    """Made-up rows, several in each millisecond, the newest first."""
    seed(db, ROWS, rng=random.Random(7))
    with db.write() as session:
        session.execute(
            update(Exchange).values(created_ms=Exchange.created_ms - Exchange.created_ms % (3 * DAY))
        )
        session.execute(update(Exchange).where(Exchange.id % 9 == 0).values(error_code="coze_4016"))
        session.execute(update(Exchange).where(Exchange.id % 14 == 0).values(account="second"))
    with db.read() as session:
        found = session.scalars(select(Exchange)).all()
    return sorted(found, key=lambda row: (row.created_ms, row.id), reverse=True)


@pytest.fixture
def log(db: Database) -> MessageLog:
    return MessageLog(db)


def walk(log: MessageLog, filters: Filters, limit: int) -> list[Slice]:
    """Every step from the newest row to the end."""
    steps = [log.after(filters, None, limit)]
    while (cursor := steps[-1].next) is not None:
        steps.append(log.after(filters, cursor, limit))
    return steps


def ids(rows: Sequence[Exchange]) -> list[int]:
    return [row.id for row in rows]


FILTERS: list[tuple[Callable[[list[Exchange]], Filters], Callable[[Exchange, Filters], bool]]] = [
    (lambda _: Filters(), lambda row, f: True),
    (lambda _: Filters(platform="wechat"), lambda row, f: row.platform == f.platform),
    (lambda _: Filters(account="second"), lambda row, f: row.account == f.account),
    (lambda rows: Filters(user=rows[0].user_id), lambda row, f: row.user_id == f.user),
    (lambda rows: Filters(session=rows[3].session_key), lambda row, f: row.session_key == f.session),
    (lambda _: Filters(status="delivered"), lambda row, f: row.status == f.status),
    (lambda _: Filters(source="library"), lambda row, f: row.source == f.source),
    (lambda _: Filters(failed=True), lambda row, f: row.error_code is not None),
    (lambda _: Filters(failed=False), lambda row, f: row.error_code is None),
    (lambda _: Filters(error="coze_4016"), lambda row, f: row.error_code == f.error),
    (lambda _: Filters(error="coze_4016\x00"), lambda row, f: row.error_code == "coze_4016"),
    (lambda _: Filters(user="nobody"), lambda row, f: False),
    (
        lambda rows: Filters(start_ms=rows[100].created_ms, end_ms=rows[20].created_ms),
        lambda row, f: (f.start_ms or 0) <= row.created_ms < (f.end_ms or 0),
    ),
    (
        lambda rows: Filters(
            "wechat", "default", rows[0].user_id, status="delivered", source="coze", failed=False
        ),
        lambda row, f: (
            (row.platform, row.account, row.user_id, row.status, row.source, row.error_code)
            == ("wechat", "default", f.user, "delivered", "coze", None)
        ),
    ),
    (
        lambda rows: Filters(
            platform="wechat", source="coze", start_ms=rows[90].created_ms, text="OFFICE hours"
        ),
        lambda row, f: (
            row.platform == "wechat"
            and row.source == "coze"
            and row.created_ms >= (f.start_ms or 0)
            and "office hours" in (row.answer or "").lower()
        ),
    ),
]


@pytest.mark.parametrize("scan", [20_000, 7])
def test_a_walk_by_cursor_gives_every_row_that_fits_once_and_in_order(
    db: Database, rows: list[Exchange], scan: int
) -> None:
    log = MessageLog(db, scan)
    for make, fits in FILTERS:
        filters = make(rows)
        expected = ids([row for row in rows if fits(row, filters)])
        steps = walk(log, filters, 4)
        assert [number for step in steps for number in ids(step.rows)] == expected, filters
        assert ids(list(log.export(filters))) == expected, filters


def test_numbered_pages_give_the_same_rows_and_the_exact_total(log: MessageLog, rows: list[Exchange]) -> None:
    for make, fits in FILTERS:
        filters = make(rows)
        if filters.text:
            continue
        expected = ids([row for row in rows if fits(row, filters)])
        pages = [log.page(filters, number, 7) for number in range(1, len(expected) // 7 + 3)]
        assert [number for page in pages for number in ids(page.rows)] == expected, filters
        assert {page.total for page in pages} == {len(expected)}
        assert all(len(page.rows) == 7 for page in pages[: len(expected) // 7])


def test_a_remembered_total_still_counts_what_comes_in(db: Database, rows: list[Exchange]) -> None:
    log = MessageLog(db, totals=Totals(large=10))
    assert log.page(Filters(), 1, 5).total == ROWS
    newest = Exchanges(db).claim(InboundMessage("wechat", "default", "oNew", "new", "hello"), "owner", 60_000)
    page = log.page(Filters(), 1, 5)
    assert (page.total, page.rows[0].id) == (ROWS + 1, newest.exchange.id)
    assert ids(log.page(Filters(), ROWS + 1, 1).rows) == [rows[-1].id]


def test_a_page_far_beyond_the_end_is_empty_and_knows_the_total(
    log: MessageLog, rows: list[Exchange]
) -> None:
    page = log.page(Filters(), 10_000_000, 200)
    assert (page.total, page.rows) == (ROWS, [])


def test_numbered_pages_refuse_text(log: MessageLog) -> None:
    with pytest.raises(ValueError, match="after"):
        log.page(Filters(text="a"), 1, 20)


def test_a_rare_word_is_searched_in_bounded_steps(db: Database, rows: list[Exchange]) -> None:
    oldest = rows[-1]
    with db.write() as session:
        session.execute(update(Exchange).where(Exchange.id == oldest.id).values(question="a needle here"))
    log = MessageLog(db, scan=40)
    first, *_, last = steps = walk(log, Filters(text="NEEDLE"), 20)
    assert len(steps) == 4
    assert first.rows == []
    assert first.searched_until == rows[39].created_ms
    assert first.next == Position(rows[39].created_ms, rows[39].id)
    assert ids(last.rows) == [oldest.id]
    assert (last.next, last.searched_until) == (None, None)


def test_a_full_slice_goes_on_after_its_last_row(log: MessageLog, rows: list[Exchange]) -> None:
    step = log.after(Filters(failed=False), None, 5)
    assert step.next == Position(step.rows[-1].created_ms, step.rows[-1].id)
    assert step.searched_until is None


@pytest.mark.parametrize(
    ("stored", "searched", "found"),
    [
        ("100% sure", "100%", True),
        ("1000 sure", "100%", False),
        ("snake_case", "E_C", True),
        ("snakeXcase", "e_c", False),
        ("C:\\dir", "c:\\D", True),
        ("C:/dir", "c:\\D", False),
        ("a/b", "A/B", True),
        ("居住证办理 𠮷", "证办理 𠮷", True),
        ("居住证", "居 住", False),
        ("it's", "'S", True),
        ("plain", "pl\x00ain", True),
    ],
)
def test_search_takes_every_sign_literally_and_ignores_case(
    db: Database, log: MessageLog, rows: list[Exchange], stored: str, searched: str, found: bool
) -> None:
    for column in ("question", "answer"):
        with db.write() as session:
            session.execute(update(Exchange).where(Exchange.id == rows[5].id).values({column: f"<{stored}>"}))
        assert (rows[5].id in ids(log.after(Filters(text=searched), None, 200).rows)) is found


def test_an_export_reads_in_batches_and_leaves_out_what_comes_in_meanwhile(
    db: Database, log: MessageLog, rows: list[Exchange], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.log.BATCH", 10)
    export = log.export(Filters())
    first = next(export)
    late = InboundMessage("wechat", "default", "oLate", "late", "I came late")
    assert Exchanges(db).claim(late, "owner", 60_000).won
    assert [first.id, *ids(list(export))] == ids(rows)


def test_user_ids_are_matched_byte_by_byte(log: MessageLog, rows: list[Exchange]) -> None:
    user = rows[0].user_id
    assert log.page(Filters(user=user), 1, 1).total > 0
    for other in (user.swapcase(), user + " "):
        assert log.page(Filters(user=other), 1, 1).total == 0
        assert log.after(Filters(user=other), None, 1).rows == []


def test_sqlite_takes_the_index_of_the_leading_filter(
    tmp_path: object, db: Database, log: MessageLog
) -> None:
    if db.dialect != "sqlite":
        return
    seen: list[str] = []

    def explain(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            with db.engine.connect() as other:
                plan = other.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
                seen.append(" ".join(row[-1] for row in plan))

    event.listen(db.engine, "before_cursor_execute", explain)
    log.after(Filters(platform="wechat", user="u", source="coze"), Position(5, 5), 3)
    log.page(Filters(platform="wechat", user="u"), 1, 3)
    event.remove(db.engine, "before_cursor_execute", explain)
    assert len(seen) == 4
    assert all("ix_exchanges_user_time" in plan and "TEMP B-TREE" not in plan for plan in seen)


def test_the_seed_gives_finished_rows_of_known_people(db: Database) -> None:
    heard: list[int] = []
    seed(db, 60, days=2, rng=random.Random(1), progress=heard.append)
    assert sum(heard) == 60
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(DialogueSession)) == 3
        oldest, newest = session.execute(
            select(func.min(Exchange.created_ms), func.max(Exchange.created_ms))
        ).one()
        unfinished = session.scalar(text("SELECT count(*) FROM exchanges WHERE answer IS NULL"))
    assert newest - oldest < 2 * DAY
    assert unfinished == 0
