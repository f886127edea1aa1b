"""Deliveries: which way an answer takes to its customer, decided once.

A platform's own retry may be given the same reply again by the same way. No answer leaves by two ways: once
it is promised to a job, the request that still waits for it says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, Connection, Update, bindparam, or_, select, update
from sqlalchemy.orm import Session

from handler.message import LateReply, Media, Via
from storage.db import Database, changed, now_ms
from storage.exchange_rows import BY_STATUS, UNFINISHED, reply_of
from storage.jobs import enqueue, late_key
from storage.models import Exchange
from storage.statements import among, table, unindexed
from storage.together import Together

_exchanges = table(Exchange)
_way_of = select(_exchanges.c.delivery, _exchanges.c.later).where(_exchanges.c.id == bindparam("exchange"))


class Deliveries:
    """The exchange log's delivery columns."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._marks = Together(self._mark, self._mark_all)

    def deliver(self, exchange_id: int, via: Via) -> Via | None:
        """Marks the answer delivered by `via`, unless another way has it; returns the way that has it.

        A way it was promised to has it from then on, even before there is an answer. None when no way has it:
        there is no answer yet.
        """
        if self._marks((exchange_id, via)):
            return via
        for row in self.db.ask(_way_of, {"exchange": exchange_id}):
            return cast("Via | None", row.delivery or row.later)
        return None

    def _mark(self, given: tuple[int, Via]) -> bool:
        exchange_id, via = given
        return self.db.once(_marking(via), _ours([exchange_id], via)) > 0

    def _mark_all(self, given: Sequence[tuple[int, Via]]) -> list[bool | None]:
        if not self.db.tells:
            return [None] * len(given)
        done: set[tuple[int, Via]] = set()
        for way in {via for _, via in given}:
            numbers = sorted(number for number, via in given if via == way)
            with self.db.in_line():
                done |= {(number, way) for number in self.db.tell(partial(_marked, numbers, way))}
        return [each in done for each in given]

    def fetch(self, exchange_id: int, into: int, owner: str) -> bool:
        """Gives the answer to the exchange `into` of `owner`, whose customer asked for it.

        Both change together: should that process die before it has said the answer, whoever takes `into` over
        finds it there. False when another way has the answer, or another process has `into`.
        """

        def hand(session: Session) -> bool:
            ours = (
                select(Exchange)
                .where(Exchange.id == into, Exchange.owner == owner, Exchange.status.in_(UNFINISHED))
                .with_for_update()
            )
            asking, fetched = session.scalars(ours).one_or_none(), session.get(Exchange, exchange_id)
            if asking is None or fetched is None:
                return False
            given = (
                update(Exchange)
                .where(Exchange.id == exchange_id, open_to("fetch"))
                .values(status="delivered", delivery="fetch", delivered_ms=now_ms())
            )
            if not changed(session.execute(given)):
                return False
            asking.answer, asking.docs = fetched.answer, fetched.docs
            asking.suggestions = fetched.suggestions
            # whoever takes `into` over must know whose words these are: a person's are shown as they stand
            asking.source = fetched.source if fetched.source in ("agent", "rest") else "command"
            return True

        return self.db.transact(hand)

    def promise(self, exchange_id: int, via: Literal["push", "callback"]) -> bool:
        """Hands the answer to a job, at once or when it comes. False when it has another way."""

        def hand(session: Session) -> bool:
            won = changed(
                session.execute(
                    update(Exchange)
                    .where(
                        Exchange.id == exchange_id,
                        Exchange.status.in_((*UNFINISHED, "answered")),
                        _free_for(via),
                    )
                    .values(later=via)
                )
            )
            if not won:
                return False
            # the row is locked by now: an answer is either here, or will find the promise
            status = session.scalar(select(Exchange.status).where(Exchange.id == exchange_id))
            if status == "answered":
                enqueue(session, via, late_key(exchange_id), exchange_id=exchange_id)
            return True

        return self.db.transact(hand)

    def stranded(
        self, platform: str, accounts: Collection[str], asked_before_ms: int, answered_since_ms: int
    ) -> list[int]:
        """Answers that nobody was given and nobody is promised, the oldest first."""
        with self.db.read() as session:
            return list(
                session.scalars(
                    select(Exchange.id)
                    .with_hint(Exchange, *BY_STATUS)
                    .where(
                        Exchange.status == "answered",
                        Exchange.created_ms < asked_before_ms,
                        Exchange.answered_ms >= answered_since_ms,
                        Exchange.later.is_(None),
                        Exchange.platform == platform,
                        Exchange.account.in_(accounts),
                    )
                    .order_by(Exchange.created_ms, Exchange.id)
                    .limit(100)
                )
            )

    def late(self, exchange_id: int) -> LateReply | None:
        """What is to be brought; None when there is nothing (any more)."""
        with self.db.read() as session:
            exchange = session.get(Exchange, exchange_id)
        return None if exchange is None or exchange.status != "answered" else late_reply(exchange)


def late_reply(exchange: Exchange) -> LateReply | None:
    """The row's answer as an adapter brings it; None while there is none."""
    if (reply := reply_of(exchange)) is None:
        return None
    return LateReply(
        exchange_id=exchange.id,
        trace_id=exchange.trace_id,
        platform=exchange.platform,
        account=exchange.account,
        user=exchange.user_id,
        question=exchange.question,
        reply=reply,
        asked_ms=exchange.created_ms,
        raw=exchange.raw,
        pictures=tuple(Media(**each) for each in exchange.media or ()) if exchange.source == "agent" else (),
    )


def open_to(via: Via | ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether an answer, found by its number, may take this way."""
    status = unindexed(_exchanges.c.status)
    answered = (status == "answered") & _free_for(via)
    # no way was left, but here the customer comes and asks for it in person
    return answered | (status == "undelivered") if isinstance(via, str) and via == "fetch" else answered


def _free_for(via: Via | ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(Exchange.later.is_(None), Exchange.later == via)


def _marked(numbers: Sequence[int], via: Via, connection: Connection) -> Sequence[int]:
    """Marks these answers; returns the numbers of those that it could."""
    marking = _marking(via).returning(_exchanges.c.id)
    return connection.execute(marking, _ours(numbers, via)).scalars().all()


def _marking(via: Via) -> Update:
    return _deliver_to_asker if via == "fetch" else _deliver


def _ours(numbers: Sequence[int], via: Via) -> dict[str, object]:
    return {"exchanges": numbers, "via": via, "moment": now_ms()}


_them = among(_exchanges.c.id, "exchanges")
_given = {"status": "delivered", "delivery": bindparam("via"), "delivered_ms": bindparam("moment")}
_deliver = update(_exchanges).where(_them, open_to(bindparam("via"))).values(_given)
_deliver_to_asker = update(_exchanges).where(_them, open_to("fetch")).values(_given)
