"""The notes and the answers of many exchanges as one statement of PostgreSQL each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Integer,
    Select,
    String,
    Update,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from handler.handoff import OWNED
from storage.exchange_rows import UNFINISHED
from storage.jobs import AT_ONCE
from storage.postgres import Prepared
from storage.set_rows import (
    EXCHANGES,
    HANDOFFS,
    IDS,
    JOBS,
    NAMES,
    NOW,
    NUMBER,
    SESSIONS,
    USES,
    Columns,
    line_of,
    rows_as,
)
from storage.statements import is_one_of, looked_up, unindexed

_HELD = [NUMBER, Column("exchange_id", BigInteger), EXCHANGES.c.owner]
_NAMES = [*(EXCHANGES.c[each] for each in IDS), SESSIONS.c.conversation_owner]
NOTED: Columns = [*_HELD, Column("calls", Integer), *_NAMES]
_FINAL = (
    *("answer", "source", "library_id", "error_code", "truncated", "docs", "suggestions"),
    *("input_tokens", "output_tokens", "first_delta_ms", "total_ms", "answered_ms"),
)
ANSWERED: Columns = [
    *_HELD,
    *(EXCHANGES.c[each] for each in _FINAL),
    Column("said", Boolean),
    Column("via", String),
    Column("unless_owned", Boolean),
    Column("uncalled", Integer),
    *_NAMES,
    Column("job", JOBS.c.key.type),
]


def _noting() -> Select[Any]:
    given = rows_as(NOTED)
    noted = (
        _held(given)
        .values(status="running", coze_calls=EXCHANGES.c.coze_calls + given.c.calls, **_ids(given))
        .returning(EXCHANGES.c.id, EXCHANGES.c.session_id, given.c.number)
        .cte("noted")
    )
    return select(noted.c.id).add_cte(_remembering(noted, given))


def _answering() -> Select[Any]:
    given = rows_as(ANSWERED)
    columns = {each.name: given.c[each.name] for each in ANSWERED if each.name in _FINAL}
    owned = select(HANDOFFS.c.id).where(
        HANDOFFS.c.session_id == EXCHANGES.c.session_id, is_one_of(HANDOFFS.c.status, OWNED)
    )
    at_once = and_(given.c.via.is_not(None), EXCHANGES.c.later.is_(None))
    final = (
        _held(given)
        .where(or_(not_(given.c.unless_owned), not_(owned.exists())))
        .values(
            owner=None,
            **columns,
            **_ids(given),
            coze_calls=EXCHANGES.c.coze_calls - given.c.uncalled,
            status=case((at_once, "delivered"), else_="answered"),
            delivery=case((at_once, given.c.via), else_=EXCHANGES.c.delivery),
            delivered_ms=case((at_once, NOW), else_=EXCHANGES.c.delivered_ms),
        )
        .returning(
            EXCHANGES.c.id, EXCHANGES.c.session_id, EXCHANGES.c.later, EXCHANGES.c.status, given.c.number
        )
        .cte("final")
    )
    lines = line_of("assistant", given.c.answer, final, given, given.c.said)
    work = select(
        final.c.later,
        given.c.job,
        final.c.id,
        cast("{}", JSON),
        literal("waiting", String),
        *(literal(each, BigInteger) for each in (0, AT_ONCE, 0)),
        NOW,
    ).join_from(final, given, final.c.number == given.c.number)
    of_job = [
        "kind",
        "key",
        "exchange_id",
        "payload",
        "status",
        "lease_ms",
        "due_ms",
        "tries",
        "created_ms",
    ]
    jobs = (
        insert(JOBS)
        .from_select(of_job, work.where(final.c.later.is_not(None)))
        .on_conflict_do_nothing()
        .returning(JOBS.c.id)
        .cte("work")
    )
    hits = (
        select(given.c.library_id, func.count().label("times"))
        .join_from(final, given, final.c.number == given.c.number)
        .where(given.c.library_id.is_not(None))
        .group_by(given.c.library_id)
        .cte("hits")
    )
    # in order, so that two processes that count hits of the same entries never wait in a ring
    used = (
        select(USES.c.entry_id, hits.c.times)
        .join_from(USES, hits, USES.c.entry_id == hits.c.library_id)
        .order_by(USES.c.entry_id)
        .with_for_update(of=USES)
        .cte("used")
    )
    counted = (
        update(USES)
        .where(USES.c.entry_id == used.c.entry_id)
        .values(hits=USES.c.hits + used.c.times, last_hit_ms=NOW)
        .returning(USES.c.entry_id)
        .cte("counted")
    )
    return select(final.c.id, final.c.status).add_cte(lines, jobs, counted, _remembering(final, given))


def _ids(given: CTE) -> dict[str, Any]:
    return {each: func.coalesce(given.c[each], EXCHANGES.c[each]) for each in IDS}


def _remembering(changed: CTE, given: CTE) -> CTE:
    """Keeps the conversations that dialogues do not remember yet."""
    new = (
        select(changed.c.session_id, given.c.conversation_id, given.c.conversation_owner)
        .join_from(changed, given, changed.c.number == given.c.number)
        .where(given.c.conversation_owner.is_not(None))
        .cte("new")
    )
    # in the order in which claims lock them, so that none waits in a ring
    dialogues = (
        select(SESSIONS.c.id, new.c.conversation_id, new.c.conversation_owner)
        .join_from(SESSIONS, new, SESSIONS.c.id == new.c.session_id)
        .order_by(*(SESSIONS.c[each] for each in NAMES))
        .with_for_update(of=SESSIONS)
        .cte("dialogues")
    )
    return (
        update(SESSIONS)
        .where(SESSIONS.c.id == dialogues.c.id)
        .values(
            conversation_id=dialogues.c.conversation_id,
            conversation_owner=dialogues.c.conversation_owner,
            updated_ms=NOW,
        )
        .returning(SESSIONS.c.id)
        .cte("remembered")
    )


def _held(given: CTE) -> Update:
    """An update of the exchanges that their owners still have."""
    return update(EXCHANGES).where(
        EXCHANGES.c.id == given.c.exchange_id,
        EXCHANGES.c.owner == given.c.owner,
        looked_up(EXCHANGES.c.id, select(given.c.exchange_id)),
        is_one_of(unindexed(EXCHANGES.c.status), UNFINISHED),
    )


NOTE, ANSWER = Prepared(_noting()), Prepared(_answering())
