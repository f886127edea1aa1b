"""Where a dialogue stands when one of its messages has its turn: one look instead of three."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Row, and_, bindparam, func, select

from storage.customers import Customer
from storage.exchange_rows import UNFINISHED
from storage.handoff_tables import Handoff
from storage.models import DialogueSession, Exchange
from storage.statements import is_one_of, table


class Standing(NamedTuple):
    """What an answer depends on besides the message."""

    dialogue: DialogueSession | None
    """None when it has been erased."""
    handoff: Handoff | None
    """None when no person ever had to do with the dialogue."""
    met_until_ms: int
    """Until when a person of the platform itself is believed to talk with the customer; 0 when none does."""
    ahead: int
    """How many earlier messages of the dialogue have no answer yet. One whose process died counts too:
    another process takes it over within a lease, and it keeps its place."""


NOWHERE = Standing(None, None, 0, 0)

_exchanges, _dialogues, _handoffs, _customers = (
    table(each) for each in (Exchange, DialogueSession, Handoff, Customer)
)
_earlier = _exchanges.alias("earlier")
_ahead = (
    select(func.count())
    .where(
        _earlier.c.session_id == _exchanges.c.session_id,
        _earlier.c.id < _exchanges.c.id,
        is_one_of(_earlier.c.status, UNFINISHED),
    )
    .scalar_subquery()
)
LOOK = (
    select(
        _exchanges.c.id.label("number"),
        _ahead.label("ahead"),
        func.coalesce(_customers.c.met_until_ms, 0).label("met_until_ms"),
        *_dialogues.c,
        *_handoffs.c,
    )
    .select_from(
        _exchanges.join(_dialogues, _dialogues.c.id == _exchanges.c.session_id)
        .outerjoin(_handoffs, _handoffs.c.session_id == _dialogues.c.id)
        .outerjoin(
            _customers,
            and_(*(_customers.c[each] == _dialogues.c[each] for each in ("platform", "account", "user_id"))),
        )
    )
    .where(_exchanges.c.id.in_(bindparam("numbers", expanding=True)))
)
_BEGIN = 3
_MIDDLE = _BEGIN + len(_dialogues.c)
_DIALOGUE, _HANDOFF = _dialogues.c.keys(), _handoffs.c.keys()


def standing_of(row: Row[Any]) -> Standing:
    """A row of `LOOK` as objects that no session looks after."""
    dialogue = DialogueSession(**dict(zip(_DIALOGUE, row[_BEGIN:_MIDDLE], strict=True)))
    theirs = dict(zip(_HANDOFF, row[_MIDDLE:], strict=True))
    return Standing(
        dialogue, None if theirs["id"] is None else Handoff(**theirs), row.met_until_ms, row.ahead
    )
