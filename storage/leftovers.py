"""Leftovers: what of the answers a customer has not seen yet, and how it comes after all.

The rest of a long answer waits for 继续. A late answer that nobody brings rides along with the answer to the
customer's next message. Both are tied to the exchange that shows them in one transaction, so that a repeated
delivery of that exchange shows the same again and no other one does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from handler.message import MANUAL, LateReply
from storage.db import Database, changed, now_ms
from storage.deliveries import late_reply, open_to
from storage.exchange_rows import UNFINISHED, WITHHELD, exchange_of
from storage.models import Exchange
from storage.outbound_tables import Rest, Ride
from storage.patience import within
from storage.statements import among, is_one_of, table
from storage.together import Together

KEPT_MS = 10 * 60 * 1000
"""How long an answer that was not seen, or not to its end, can be had: later it would come out of context."""
AGENTS_KEPT_MS = 48 * 3600 * 1000
"""The same for what a person said."""
REQUEST_SECONDS = 1.0
"""What a reply that is due may wait for the database: what is left over is worth less than the reply."""
RIDERS = 3
"""Late answers that are looked at for one ride; more would not fit into one bubble."""

_exchanges, _rides, _rests = (table(each) for each in (Exchange, Ride, Rest))
_carrier = _exchanges.alias()
_aboard = (
    select(_exchanges)
    .join(_rides, _rides.c.exchange_id == _exchanges.c.id)
    .where(_rides.c.carrier_id == bindparam("carrier"))
    .order_by(_exchanges.c.id)
)
_could_ride = and_(
    _exchanges.c.session_id == _carrier.c.session_id,
    _exchanges.c.id < _carrier.c.id,
    or_(
        _exchanges.c.created_ms >= bindparam("since"),
        # a person's words keep their meaning longer
        and_(_exchanges.c.source == "agent", _exchanges.c.created_ms >= bindparam("agents_since")),
    ),
    ~is_one_of(_exchanges.c.source, ("merged", *MANUAL)),
    _exchanges.c.answer != "",
    or_(
        and_(_exchanges.c.status == "answered", _exchanges.c.later.is_(None)),
        # one in doubt may have arrived, and one that arrived in part goes on with its rest
        and_(
            _exchanges.c.status == "undelivered",
            ~is_one_of(_exchanges.c.delivery_error, ("in_doubt", WITHHELD)),
            ~select(_rests.c.exchange_id).where(_rests.c.exchange_id == _exchanges.c.id).exists(),
        ),
    ),
)
_waiting = (
    select(_exchanges)
    .join_from(_exchanges, _carrier, _could_ride)
    .where(_carrier.c.id == bindparam("carrier"))
    .order_by(_exchanges.c.id)
    .limit(RIDERS)
)
_carriers = select(_carrier.c.id).where(
    among(_carrier.c.id, "carriers"),
    or_(
        select(_rides.c.exchange_id).where(_rides.c.carrier_id == _carrier.c.id).exists(),
        select(_exchanges.c.id).where(_could_ride).correlate(_carrier).exists(),
    ),
)
"""Those of many exchanges that have something to carry; most have nothing."""


class Leftovers:
    """The rests and rides of every platform."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._looks = Together(lambda carrier: self._carry_something([carrier])[0], self._carry_something)

    def keep(self, exchange_id: int, text: str) -> bool:
        """Keeps what of this exchange's answer was not shown; replaces a rest that nobody took yet.

        False when there is no such exchange.
        """

        def store(session: Session) -> bool:
            now = now_ms()
            session.execute(delete(Rest).where(Rest.expires_ms < now))
            whose = session.scalar(select(Exchange.session_id).where(Exchange.id == exchange_id))
            if whose is None:
                return False
            known = session.get(Rest, exchange_id)
            if known is None:
                session.add(
                    Rest(exchange_id=exchange_id, session_id=whose, text=text, expires_ms=now + KEPT_MS)
                )
            elif known.taken_by is None and known.text != text:
                known.text = text
            session.flush()
            return True

        with within(REQUEST_SECONDS):
            try:
                return self.db.transact(store)
            except IntegrityError:
                # another delivery of the same message kept it at the same moment
                return self.db.transact(store)

    def newest_rest(self, exchange: Exchange) -> Rest | None:
        """The rest that the same customer was told of last, before `exchange`; None when none waits."""
        with self.db.read() as session:
            return session.scalars(
                select(Rest)
                .where(
                    Rest.session_id == exchange.session_id,
                    Rest.exchange_id < exchange.id,
                    Rest.taken_by.is_(None),
                    Rest.expires_ms > now_ms(),
                )
                .order_by(Rest.exchange_id.desc())
                .limit(1)
            ).first()

    def take_rest(self, exchange_id: int, into: int, owner: str) -> bool:
        """Gives the rest to the exchange `into` of `owner`, whose customer asked for it.

        Both change together, as in `Deliveries.fetch`. False when somebody else took it.
        """

        def hand(session: Session) -> bool:
            asking = session.scalars(
                select(Exchange)
                .where(Exchange.id == into, Exchange.owner == owner, Exchange.status.in_(UNFINISHED))
                .with_for_update()
            ).one_or_none()
            rest = session.get(Rest, exchange_id)
            if asking is None or rest is None:
                return False
            taken = (
                update(Rest)
                .where(Rest.exchange_id == exchange_id, Rest.taken_by.is_(None))
                .values(taken_by=into)
                .execution_options(synchronize_session=False)
            )
            if not changed(session.execute(taken)):
                return False
            whose = session.scalar(select(Exchange.source).where(Exchange.id == exchange_id))
            asking.answer, asking.source = rest.text, "agent" if whose == "agent" else "rest"
            # a push that broke off half way: with its rest the customer has the whole
            session.execute(
                update(Exchange)
                .where(Exchange.id == exchange_id, Exchange.status == "undelivered")
                .values(status="delivered", delivery="fetch", delivered_ms=now_ms())
            )
            return True

        return self.db.transact(hand)

    def riders(self, carrier_id: int) -> list[LateReply]:
        """Late answers that the reply to `carrier_id` shows already, or else those that could ride along."""
        with within(REQUEST_SECONDS):
            if not self._looks(carrier_id):
                return []
            found = self.db.ask(_aboard, {"carrier": carrier_id}) or self.db.ask(
                _waiting, {"carrier": carrier_id, **_since()}
            )
        return [late for each in found if (late := late_reply(exchange_of(each))) is not None]

    def _carry_something(self, carriers: Sequence[int]) -> list[bool]:
        found = {row.id for row in self.db.ask(_carriers, {"carriers": carriers, **_since()})}
        return [each in found for each in carriers]

    def carry(self, carrier_id: int, exchange_ids: Collection[int]) -> list[int]:
        """Lets these answers ride with the reply to `carrier_id`; returns the ones that do."""

        def load(session: Session) -> list[int]:
            for each in exchange_ids:
                aboard = (
                    update(Exchange)
                    .where(Exchange.id == each, open_to("fetch"))
                    .values(status="delivered", delivery="fetch", delivered_ms=now_ms())
                )
                if changed(session.execute(aboard)):
                    session.add(Ride(exchange_id=each, carrier_id=carrier_id))
            session.flush()
            return list(session.scalars(select(Ride.exchange_id).where(Ride.carrier_id == carrier_id)))

        with within(REQUEST_SECONDS):
            return self.db.transact(load)


def _since() -> dict[str, int]:
    now = now_ms()
    return {"since": now - KEPT_MS, "agents_since": now - AGENTS_KEPT_MS}
