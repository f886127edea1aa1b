"""The claim of many messages as one statement of PostgreSQL.

It finds the messages' dialogues or begins them, adds the exchanges and the customers' lines, and tells where
each dialogue stands, which saves the look at it. A dialogue counts its claims: one that was made meanwhile by
another process, whose exchange this statement cannot see, shows in the count.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    JSON,
    Boolean,
    Column,
    Integer,
    Select,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from storage.exchange_rows import UNFINISHED
from storage.postgres import Prepared
from storage.set_rows import (
    CUSTOMERS,
    EXCHANGES,
    HANDOFFS,
    MESSAGE,
    NAMES,
    NOW,
    NUMBER,
    SESSIONS,
    Columns,
    line_of,
    sent_as,
)
from storage.statements import is_one_of, is_open, looked_up

DIALOGUE = ("conversation_id", "conversation_owner", "created_ms", "updated_ms")
"""What the claim tells of a known dialogue, besides its name and number."""
NEWEST = Column("newest", Boolean)
"""Whether a message belongs to its user's newest dialogue."""
CLAIMED: Columns = [
    NUMBER,
    NEWEST,
    *(EXCHANGES.c[each] for each in ("trace_id", *NAMES, "dedupe_key", "kind", "question", "raw", "media")),
    *(EXCHANGES.c[each] for each in ("owner", "lease_ms")),
]


def _named() -> CTE:
    """The messages, each with the name of its dialogue."""
    sent = sent_as(CLAIMED)
    newest = (
        select(SESSIONS.c.session_key)
        .where(*(SESSIONS.c[each] == sent.c[each] for each in NAMES if each != "session_key"))
        .order_by(SESSIONS.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    name = func.coalesce(case((sent.c.newest, newest)), sent.c.session_key).label("session_key")
    return select(name, *(each for each in sent.c if each.name not in ("session_key", "newest"))).cte("given")


def _claiming() -> Select[Any]:
    given = _named()
    # each by itself: joined with the messages, of which PostgreSQL expects a hundred, a small table would be
    # read whole, by a plan that stays when it has grown
    theirs = (
        select(*(SESSIONS.c[each] for each in ("id", "claims", *DIALOGUE)))
        .where(*(SESSIONS.c[each] == given.c[each] for each in NAMES))
        .limit(1)
        .lateral("theirs")
    )
    unfinished = is_one_of(EXCHANGES.c.status, UNFINISHED)
    before = (
        select(
            func.count().filter(unfinished).label("ahead"), func.count().filter(~unfinished).label("waiting")
        )
        .where(EXCHANGES.c.session_id == theirs.c.id, is_open(EXCHANGES))
        .lateral("before")
    )
    handed = select(HANDOFFS.c.session_id).where(HANDOFFS.c.session_id == theirs.c.id).scalar_subquery()
    known = (
        select(given.c.number, *theirs.c, *before.c, handed.label("handed"))
        .select_from(given.join(theirs, true()).join(before, true()))
        .cte("known")
    )
    # who comes at the same moment waits here, and finds a count that is not the one it has seen
    counted = (
        update(SESSIONS)
        .where(looked_up(SESSIONS.c.id, select(known.c.id)))
        .values(claims=SESSIONS.c.claims + 1)
        .returning(SESSIONS.c.id, SESSIONS.c.claims)
        .cte("counted")
    )
    strangers = select(*(given.c[each] for each in NAMES), literal(1, Integer), NOW, NOW).distinct()
    begun = (
        insert(SESSIONS)
        .from_select(
            [*NAMES, "claims", "created_ms", "updated_ms"],
            strangers.where(given.c.number.not_in(select(known.c.number))),
        )
        .on_conflict_do_nothing()
        .returning(SESSIONS.c.id, *(SESSIONS.c[each] for each in NAMES))
        .cte("begun")
    )
    new = and_(*(begun.c[each] == given.c[each] for each in NAMES))
    dialogues = union_all(
        select(known.c.number, known.c.id), select(given.c.number, begun.c.id).join_from(given, begun, new)
    ).cte("dialogues")
    columns = [each.name for each in given.c if each.name != "number"]
    same = {
        "status": literal("claimed", String),
        **{each: literal(1, Integer) for each in ("attempts", "coze_calls")},
        "truncated": false(),
        **{each: cast("[]", JSON) for each in ("docs", "suggestions")},
        "created_ms": NOW,
    }
    found = (
        select(dialogues.c.id, *(given.c[each] for each in columns), *same.values())
        .join_from(given, dialogues, given.c.number == dialogues.c.number)
        # a dialogue's exchanges are numbered in the order they came
        .order_by(given.c.number)
    )
    added = (
        insert(EXCHANGES)
        .from_select(["session_id", *columns, *same], found)
        .on_conflict_do_nothing()
        .returning(*(EXCHANGES.c[each] for each in ("id", "session_id", "session_key", *MESSAGE)))
        .cte("added")
    )
    won = (
        select(given.c.number, added.c.id, added.c.session_id, added.c.session_key)
        .join_from(added, given, and_(*(added.c[each] == given.c[each] for each in MESSAGE)))
        .cte("won")
    )
    lines = line_of("user", given.c.question, won, given, given.c.kind != "leave")
    met = (
        select(CUSTOMERS.c.met_until_ms)
        .where(*(CUSTOMERS.c[each] == given.c[each] for each in NAMES if each != "session_key"))
        .scalar_subquery()
    )
    return (
        select(*won.c, known.c.claims.label("seen"), func.coalesce(counted.c.claims, 1).label("claims"))
        .add_columns(*(func.coalesce(known.c[each], 0).label(each) for each in ("ahead", "waiting")))
        .add_columns(known.c.handed)
        .add_columns(func.coalesce(met, 0).label("met_until_ms"), *(known.c[each] for each in DIALOGUE))
        .select_from(
            won.join(given, won.c.number == given.c.number)
            .outerjoin(known, known.c.number == won.c.number)
            .outerjoin(counted, counted.c.id == won.c.session_id)
        )
        .add_cte(lines)
    )


CLAIM = Prepared(_claiming())
