"""The steps of many exchanges as one statement each: what PostgreSQL makes possible.

A statement's text is the same for one exchange and for fifty. All that belongs together is in it: it needs
no transaction around it and costs one round trip. What it leaves out (a message that came before, a dialogue
that two begin at once) is for the steps in exchanges.py. The statements themselves are in claim_statement.py
and set_statements.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from storage.claim_statement import CLAIM, CLAIMED, DIALOGUE
from storage.db import Database, now_ms
from storage.exchange_rows import Claim, Given, Note, Outcome, Wanted, answered, claimed, is_said
from storage.jobs import late_key
from storage.models import DialogueSession, Exchange
from storage.postgres import Prepared
from storage.set_rows import IDS, MESSAGE, NAMES, Columns, as_json
from storage.set_statements import ANSWER, ANSWERED, NOTE, NOTED
from storage.standing import Standing
from storage.statements import unattended


class ExchangeSets:
    """Claims, notes and answers of many exchanges; each method is one committed statement."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def claim(self, wanted: Sequence[Wanted]) -> list[Claim | None]:
        """The claims that are won; None for a message that must be looked at by itself."""
        now = now_ms()
        values = [claimed(each, now) for each in wanted]
        # of equal messages in one set the first is claimed, and the others then find it
        firsts = {tuple(values[at][each] for each in MESSAGE): at for at in reversed(range(len(wanted)))}
        # two sets that meet in several dialogues lock them in the same order
        order = sorted(firsts.values(), key=lambda at: [values[at][each] for each in NAMES])
        rows = [{"number": at, "newest": wanted[at].message.newest, **values[at]} for at in order]
        won: list[Claim | None] = [None] * len(wanted)
        dialogues: set[int] = set()
        found = self.db.tell(partial(CLAIM.on, values={"rows": as_json(CLAIMED, rows), "now": now}))
        for row in sorted(found, key=lambda row: row.id):
            named = {"id": row.id, "session_id": row.session_id, "session_key": row.session_key}
            exchange = unattended(Exchange, values[row.number] | named)
            # the second of a dialogue in this set has the first before it, which the statement did not see
            standing = None if row.session_id in dialogues else _standing(row, exchange)
            dialogues.add(row.session_id)
            won[row.number] = Claim(exchange, won=True, attempt=1, standing=standing)
        return won

    def note(self, notes: Sequence[Note]) -> list[bool | None]:
        """Whether each was written; False for an exchange that its owner has lost."""
        numbers = [note.exchange_id for note in notes]
        found = self._each(NOTE, NOTED, [note._asdict() for note in notes], {"now": now_ms()})
        return [None] * len(notes) if found is None else [each in found for each in numbers]

    def answer(self, given: Sequence[Given]) -> list[Outcome | None]:
        """What became of each reply, as `Exchanges.answer`; None for one that was not written."""
        now = now_ms()
        rows = [
            {
                **answered(each.reply, each.timing, now),
                "exchange_id": each.exchange_id,
                "owner": each.owner,
                "said": is_said(each.reply),
                "job": late_key(each.exchange_id),
                "via": each.via,
                "unless_owned": each.unless_owned,
                "uncalled": each.uncalled,
                "conversation_owner": each.conversation_owner,
                **{name: getattr(each, name) for name in IDS},
            }
            for each in given
        ]
        found = self._each(ANSWER, ANSWERED, rows, {"now": now}) or {}
        return [found[each.exchange_id].status if each.exchange_id in found else None for each in given]

    def _each(
        self,
        statement: Prepared,
        columns: Columns,
        rows: Sequence[dict[str, Any]],
        more: Mapping[str, int],
    ) -> dict[int, Any] | None:
        """What the statement tells of the exchanges that it changed, by number; None if it cannot be used."""
        if len({row["exchange_id"] for row in rows}) < len(rows):
            # joined with two rows, a row is changed by one of them
            return None
        numbered = [{**row, "number": at} for at, row in enumerate(rows)]
        ask = partial(statement.on, values={"rows": as_json(columns, numbered), **more})
        with self.db.in_line():
            return {row.id: row for row in self.db.tell(ask)}


def _standing(row: Any, exchange: Exchange) -> Standing | None:
    """What a claim tells of its dialogue; None when that may not be all."""
    is_new = row.seen is None
    if row.handed is not None or not (is_new or row.claims == row.seen + 1):
        # another claim was made while ours waited for it, or a person has to do with the dialogue
        return None
    columns = {each: getattr(exchange, each) for each in NAMES}
    columns |= {each: getattr(row, each) for each in (*DIALOGUE, "claims")}
    dialogue = unattended(DialogueSession, {**columns, "id": row.session_id})
    return Standing(dialogue, None, row.met_until_ms, row.waiting, row.ahead)
