"""Where a dialogue stands when one of its messages has its turn: one look instead of three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, func, select

from storage.customers import Customer
from storage.db import Ask
from storage.exchange_rows import UNFINISHED
from storage.handoff_rows import handoffs_of
from storage.handoff_tables import Handoff
from storage.models import DialogueSession, Exchange
from storage.statements import among, is_one_of, is_open, table, unattended


class Standing(NamedTuple):
    """What an answer depends on besides the message."""

    dialogue: DialogueSession | None
    """None when it has been erased."""
    handoff: Handoff | None
    """None when no person ever had to do with the dialogue."""
    met_until_ms: int
    """Until when a person of the platform itself is believed to talk with the customer; 0 when none does."""
    waiting: int
    """How many answers to earlier messages nobody has been given, as far as is known."""
    ahead: int
    """How many earlier messages of the dialogue have no answer yet. One whose process died counts too:
    another process takes it over within a lease, and it keeps its place."""

    @property
    def alone(self) -> bool:
        """Whether nothing of the dialogue is left to be answered or to be shown: then its customer gets the
        answer to this message and no other one with it."""
        return not (self.ahead or self.waiting)


NOWHERE = Standing(None, None, 0, 0, 0)

_exchanges, _dialogues, _handoffs, _customers = (
    table(each) for each in (Exchange, DialogueSession, Handoff, Customer)
)
_earlier = _exchanges.alias("earlier")
_open = (
    select(func.count())
    .where(
        _earlier.c.session_id == _exchanges.c.session_id, _earlier.c.id < _exchanges.c.id, is_open(_earlier)
    )
    .correlate(_exchanges)
)
_unfinished = is_one_of(_earlier.c.status, UNFINISHED)
_look = (
    select(
        _exchanges.c.id.label("number"),
        _open.where(~_unfinished).scalar_subquery().label("waiting"),
        _open.where(_unfinished).scalar_subquery().label("ahead"),
        func.coalesce(_customers.c.met_until_ms, 0).label("met_until_ms"),
        _handoffs.c.session_id.label("handed"),
        *_dialogues.c,
    )
    .select_from(
        _exchanges.join(_dialogues, _dialogues.c.id == _exchanges.c.session_id)
        .outerjoin(_handoffs, _handoffs.c.session_id == _dialogues.c.id)
        .outerjoin(
            _customers,
            and_(*(_customers.c[each] == _dialogues.c[each] for each in ("platform", "account", "user_id"))),
        )
    )
    .where(among(_exchanges.c.id, "numbers"))
)
_DIALOGUE = _dialogues.c.keys()


def look(ask: Ask, numbers: Sequence[int]) -> list[Standing]:
    """Where the dialogues of these exchanges stand, in the order of the numbers."""
    found = {row.number: row for row in ask(_look, {"numbers": numbers})}
    # few dialogues ever had to do with a person, and a handoff's row has many columns
    handed = [row.handed for row in found.values() if row.handed is not None]
    handoffs = handoffs_of(ask, handed) if handed else {}
    standings = {number: _standing(row, handoffs.get(row.handed)) for number, row in found.items()}
    return [standings.get(each, NOWHERE) for each in numbers]


def _standing(row: Row[Any], handoff: Handoff | None) -> Standing:
    dialogue = unattended(DialogueSession, dict(zip(_DIALOGUE, row[-len(_DIALOGUE) :], strict=True)))
    return Standing(dialogue, handoff, row.met_until_ms, row.waiting, row.ahead)
