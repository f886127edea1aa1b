"""Exchanges: the claim that makes a message ours, and every later change of its state.

Each function is one short transaction. Changes are conditional updates whose row count says who won, so
that two processes with the same message, or a process that lost its lease, cannot both go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import takewhile
from typing import Any, TypeVar

from sqlalchemy import (
    Boolean,
    Connection,
    Executable,
    Integer,
    Row,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from handler.handoff import OWNED
from handler.message import MANUAL, InboundMessage, Media, Reply, Via
from storage.db import Database, changed, now_ms
from storage.exchange_rows import (
    BY_STATUS,
    ERASED,
    NAMELESS,
    UNFINISHED,
    WITHHELD,
    Claim,
    Given,
    Names,
    Note,
    Outcome,
    Timing,
    Wanted,
    answered,
    claimed,
    digest,
    exchange_of,
    is_said,
)
from storage.handoff_tables import Handoff
from storage.jobs import enqueue, late_key
from storage.library import count_hit
from storage.models import DialogueSession, Exchange, Message
from storage.sessions import FIND_NEWEST, REMEMBER, find_or_add_dialogue, remembered
from storage.standing import Standing, look
from storage.statements import Change, added, is_one_of, table, unattended
from storage.together import MOST, Together

T = TypeVar("T")
R = TypeVar("R")

CLAIM_TRIES = 5
# The statements of every message, built once: to build one costs more than to have it executed.
EXCHANGES, MESSAGES, SESSIONS, HANDOFFS = (
    table(each) for each in (Exchange, Message, DialogueSession, Handoff)
)
_held = update(EXCHANGES).where(
    EXCHANGES.c.id == bindparam("held"),
    EXCHANGES.c.owner == bindparam("holder"),
    is_one_of(EXCHANGES.c.status, UNFINISHED),
)
_ids = {
    name: func.coalesce(bindparam(given, type_=EXCHANGES.c[name].type), EXCHANGES.c[name])
    for name, given in {"conversation_id": "conversation", "chat_id": "chat", "logid": "log"}.items()
}
_note = _held.values(
    status="running", coze_calls=EXCHANGES.c.coze_calls + bindparam("calls", type_=Integer), **_ids
)
_same_message = (
    EXCHANGES.c.platform == bindparam("on_platform"),
    EXCHANGES.c.account == bindparam("of_account"),
    EXCHANGES.c.dedupe_key == bindparam("key"),
)
_join = Change(
    update(EXCHANGES).where(*_same_message).values(attempts=EXCHANGES.c.attempts + 1),
    _same_message,
    EXCHANGES,
)
_via = bindparam("via", type_=EXCHANGES.c.delivery.type)
_at_once = _via.is_not(None) & EXCHANGES.c.later.is_(None)
_owned = select(HANDOFFS.c.id).where(
    HANDOFFS.c.session_id == EXCHANGES.c.session_id, is_one_of(HANDOFFS.c.status, OWNED)
)
_is_owned = select(EXCHANGES.c.id).where(EXCHANGES.c.id == bindparam("number"), _owned.exists())
_answer = Change(
    _held.where(or_(bindparam("whoever", type_=Boolean), ~_owned.exists())).values(
        status=case((_at_once, "delivered"), else_="answered"),
        delivery=case((_at_once, _via), else_=EXCHANGES.c.delivery),
        delivered_ms=case((_at_once, bindparam("moment")), else_=EXCHANGES.c.delivered_ms),
        coze_calls=EXCHANGES.c.coze_calls - bindparam("uncalled", type_=Integer),
        **_ids,
    ),
    [EXCHANGES.c.id == bindparam("held")],
    *(EXCHANGES.c.session_id, EXCHANGES.c.later, EXCHANGES.c.status),
)
_add_exchange, _add_line = insert(EXCHANGES), insert(MESSAGES)
_row = select(EXCHANGES).where(EXCHANGES.c.id == bindparam("number"))
_count_ahead = select(func.count()).where(
    EXCHANGES.c.session_id == bindparam("dialogue"),
    EXCHANGES.c.id < bindparam("before"),
    is_one_of(EXCHANGES.c.status, UNFINISHED),
)


class Exchanges:
    """The exchange log's writing side."""

    def __init__(self, db: Database) -> None:
        self.db = db
        if db.dialect == "postgresql":
            from storage.exchange_sets import ExchangeSets  # with a dialect that others have no use for

            sets = ExchangeSets(db)
            self._claims = Together(self._claim, sets.claim)
            self._note_all: Callable[[Sequence[Note]], object] = sets.note
            self._notes = Together(self._jot, sets.note)
            self._answers = Together(self._answer, sets.answer)
        else:
            self._claims = Together(self._claim, self._in_turn(self._take))
            self._note_all = self._jot_all
            self._notes = Together(self._jot, self._jot_all)
            self._answers = Together(self._answer, self._in_turn(self._record))
        self._standings = Together(lambda number: look(db.ask, [number])[0], partial(look, db.ask))

    def claim(self, message: InboundMessage, owner: str, lease_ms: int) -> Claim:
        """Inserts the exchange, or joins the one that another delivery of this message inserted.

        `lease_ms` is how long `owner` is believed alive without a sign of life. Raises `Unavailable` when the
        database does not answer.
        """
        return self._claims(Wanted(message, owner, lease_ms))

    def _claim(self, wanted: Wanted) -> Claim:
        for tries_left in reversed(range(CLAIM_TRIES)):
            if (joined := self.db.change(_join, _same(wanted))) is not None:
                return _joined(joined)
            try:
                return self.db.steps(lambda connection: self._insert(connection, wanted))
            except IntegrityError:
                # another delivery inserted between our look and our insert: look again
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _take(self, connection: Connection, wanted: Wanted) -> Claim:
        if connection.dialect.name != "sqlite":
            joined = _join.on(connection, _same(wanted))
            return _joined(joined) if joined is not None else self._insert(connection, wanted)
        try:
            claim = self._insert(connection, wanted)
        except IntegrityError:
            # nobody else writes meanwhile: it was there, and only this statement is undone
            return _joined(_join.on(connection, _same(wanted)))
        # nobody else writes meanwhile: what is there now is all that came before
        (standing,) = look(partial(_asked, connection), [claim.exchange.id])
        return replace(claim, standing=standing)

    def _insert(self, connection: Connection, wanted: Wanted) -> Claim:
        now, message = now_ms(), wanted.message
        if message.newest:
            whose = {"platform": message.platform, "account": message.account, "user_id": message.user}
            name = connection.execute(FIND_NEWEST, whose).scalar() or message.session
            message = replace(message, session=name, newest=False)
            wanted = wanted._replace(message=message)
        values = {"session_id": find_or_add_dialogue(connection, message, now), **claimed(wanted, now)}
        number = added(connection, _add_exchange, values)
        if message.kind != "leave":
            _say(connection, values["session_id"], number, "user", message.text, now)
        return Claim(unattended(Exchange, {"id": number, **values}), won=True, attempt=1)

    def standing(self, exchange: Exchange) -> Standing:
        """Where the exchange's dialogue stands now."""
        return self._standings(exchange.id)

    def ahead(self, exchange: Exchange) -> int:
        """How many earlier messages of the same dialogue have no answer yet.

        Coze runs one chat per conversation (code 4016 otherwise), and answers should come in order. One whose
        process died counts too: another process takes it over within a lease, and it keeps its place.
        """
        ((earlier,),) = self.db.ask(_count_ahead, {"dialogue": exchange.session_id, "before": exchange.id})
        return int(earlier)

    def call_begins(self, exchange_id: int, owner: str, calls: int = 1) -> bool:
        """Counts a call to Coze, 0 for the one that the claim counted; False when it is no longer ours."""
        return self._notes(Note(exchange_id, owner, calls))

    def call_refused(self, exchange_id: int, owner: str) -> bool:
        """Takes back one counted call that began nothing."""
        return self._notes(Note(exchange_id, owner, calls=-1))

    def named(self, notes: Sequence[Note]) -> None:
        """Keeps Coze's ids, so that whoever takes over can resume, and the conversations of new dialogues; of
        exchanges that are still ours."""
        for start in range(0, len(notes), MOST):
            self._note_all(notes[start : start + MOST])

    def _jot(self, note: Note) -> bool:
        if note.conversation_owner is not None:
            return self.db.steps(lambda connection: _jot(connection, note))
        return self.db.once(_note, _noted(note)) > 0

    def _jot_all(self, notes: Sequence[Note]) -> list[bool]:
        if len(notes) == 1:
            # in no transaction but the statement's own
            return [self._jot(notes[0])]
        with self.db.in_line():
            return self.db.steps(lambda connection: [_jot(connection, each) for each in notes])

    def understood(self, exchange_id: int, owner: str, text: str, media: Sequence[Media]) -> bool:
        """Keeps what became of the media: a recording's words, and under which ids Coze has the files."""

        def record(session: Session) -> bool:
            values = {"question": text, "media": [asdict(each) for each in media]}
            won = changed(
                session.connection().execute(_held, {**values, "held": exchange_id, "holder": owner})
            )
            if won:
                said = update(Message).where(Message.exchange_id == exchange_id, Message.role == "user")
                session.execute(said.values(text=text))
            return bool(won)

        return self.db.transact(record)

    def answer(
        self,
        exchange_id: int,
        owner: str,
        reply: Reply,
        timing: Timing,
        via: Via | None = None,
        *,
        unless_owned: bool = False,
        uncalled: int = 0,
        names: Names = NAMELESS,
    ) -> Outcome:
        """Makes the reply final and adds it to the transcript; nothing when we lost the exchange.

        With `via` it is delivered at once, unless it was promised to another way.
        """
        return self._answers(Given(exchange_id, owner, reply, timing, via, unless_owned, uncalled, *names))

    def _answer(self, given: Given) -> Outcome:
        return self.db.steps(lambda connection: self._record(connection, given))

    def _record(self, connection: Connection, given: Given) -> Outcome:
        now, number, reply = now_ms(), given.exchange_id, given.reply
        mine = {"held": number, "holder": given.owner, "whoever": not given.unless_owned}
        way = {"via": given.via, "moment": now, "uncalled": given.uncalled}
        values = answered(reply, given.timing, now) | mine | way | _names(given)
        if (row := _answer.on(connection, values)) is None:
            owned = given.unless_owned and connection.execute(_is_owned, {"number": number}).first()
            return "owned" if owned else ""
        if given.conversation_owner is not None:
            _remember(connection, row.session_id, given)
        if is_said(reply):
            _say(connection, row.session_id, number, "assistant", reply.text, now)
        if row.later is not None:
            with Session(connection) as session:
                enqueue(session, row.later, late_key(number), exchange_id=number)
        if reply.library_id is not None:
            count_hit(connection, reply.library_id, now)
        outcome: Outcome = row.status
        return outcome

    def get(self, exchange_id: int) -> Exchange | None:
        """The row as it is now."""
        return self.db.first(Exchange, _row, {"number": exchange_id})

    def find(self, platform: str, account: str, dedupe_key: str) -> Exchange | None:
        """The exchange of a message that came before; looking for it is no delivery of it."""
        with self.db.read() as session:
            return session.scalars(
                select(Exchange).filter_by(platform=platform, account=account, dedupe_key=digest(dedupe_key))
            ).first()

    def is_followed(self, exchange: Exchange, within_ms: int) -> bool:
        """Whether another text message of the dialogue was claimed at most `within_ms` after this one."""
        with self.db.read() as session:
            later = session.scalar(
                select(Exchange.id)
                .where(
                    Exchange.session_id == exchange.session_id,
                    Exchange.id > exchange.id,
                    Exchange.kind == "text",
                    Exchange.created_ms <= exchange.created_ms + within_ms,
                )
                .limit(1)
            )
        return later is not None

    def merged_into(self, exchange: Exchange, limit: int = 20) -> list[str]:
        """The questions right before this one that were left to it, oldest first."""
        with self.db.read() as session:
            before = session.execute(
                select(Exchange.source, Exchange.question)
                .where(Exchange.session_id == exchange.session_id, Exchange.id < exchange.id)
                .order_by(Exchange.id.desc())
                .limit(limit)
            ).all()
        return [row.question for row in takewhile(lambda row: row.source == "merged", before)][::-1]

    def waiting_before(self, exchange: Exchange, since_ms: int) -> Exchange | None:
        """The same user's newest earlier exchange since `since_ms` whose answer has not reached them.

        One that was given up counts: its way was closed, not the customer's interest in it.
        """
        with self.db.read() as session:
            return session.scalars(
                select(Exchange)
                .where(
                    Exchange.session_id == exchange.session_id,
                    Exchange.id < exchange.id,
                    Exchange.created_ms >= since_ms,
                    Exchange.status.in_((*UNFINISHED, "answered", "undelivered")),
                    Exchange.kind != "leave",
                    func.coalesce(Exchange.delivery_error, "").not_in((ERASED, WITHHELD)),
                    func.coalesce(Exchange.source, "").not_in(tuple(MANUAL)),
                )
                .order_by(Exchange.id.desc())
                .limit(1)
            ).first()

    def unfinished(self) -> int:
        """How many exchanges have no answer yet; for readiness and metrics."""
        with self.db.read() as session:
            return (
                session.scalar(
                    select(func.count())
                    .select_from(Exchange)
                    .with_hint(Exchange, *BY_STATUS)
                    .where(Exchange.status.in_(UNFINISHED))
                )
                or 0
            )

    def _in_turn(self, step: Callable[[Connection, T], R]) -> Callable[[Sequence[T]], Sequence[R]]:
        """The steps of several exchanges in one transaction."""

        def steps(items: Sequence[T]) -> Sequence[R]:
            with self.db.in_line():
                return self.db.steps(lambda connection: [step(connection, each) for each in items])

        return steps


def _asked(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
    return connection.execute(statement, values).all()


def _joined(row: Row[Any] | None) -> Claim:
    if row is None:
        raise LookupError("a message that was there is gone")
    return Claim(exchange_of(row), won=False, attempt=row.attempts)


def _jot(connection: Connection, note: Note) -> bool:
    if not connection.execute(_note, _noted(note)).rowcount:
        return False
    if note.conversation_owner is not None:
        found = connection.execute(_row, {"number": note.exchange_id}).one()
        _remember(connection, found.session_id, note)
    return True


def _remember(connection: Connection, dialogue: int, names: Note | Given) -> None:
    connection.execute(REMEMBER, remembered(dialogue, names.conversation_id, names.conversation_owner))


def _noted(note: Note) -> dict[str, Any]:
    return {"held": note.exchange_id, "holder": note.owner, "calls": note.calls, **_names(note)}


def _names(of: Note | Given) -> dict[str, str | None]:
    return {"conversation": of.conversation_id, "chat": of.chat_id, "log": of.logid}


def _same(wanted: Wanted) -> dict[str, str]:
    message = wanted.message
    key = digest(message.dedupe_key)
    return {"on_platform": message.platform, "of_account": message.account, "key": key}


def _say(connection: Connection, dialogue: int, exchange: int, role: str, text: str, now: int) -> None:
    line = {"session_id": dialogue, "exchange_id": exchange, "role": role, "text": text, "created_ms": now}
    connection.execute(_add_line, line)
