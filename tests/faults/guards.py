"""Guards taken out on purpose, one at a time, to show that the fault suite would notice.

Each function undoes one protection of the gateway inside a worker of the suite; nothing else imports this.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select, update

from handler.message import InboundMessage, Via
from storage.deliveries import Deliveries
from storage.exchange_rows import UNFINISHED, Claim, Outcome
from storage.exchanges import Exchanges
from storage.leases import Lease, Leases
from storage.models import Exchange


def without_unique_key() -> None:
    """Every delivery is a message of its own."""
    claim = Exchanges.claim

    def claims(self: Exchanges, message: InboundMessage, owner: str, lease_ms: int) -> Claim:
        return claim(self, replace(message, dedupe_key=uuid.uuid4().hex), owner, lease_ms)

    Exchanges.claim = claims  # type: ignore[method-assign]


def without_lease() -> None:
    """Whoever looks takes over, even from a process that is alive."""

    def suspects(self: Leases, limit: int = 1_000) -> list[Lease]:
        with self.db.read() as session:
            return [Lease.of(each) for each in session.scalars(select(Exchange).where(is_unfinished))]

    is_unfinished = Exchange.status.in_(UNFINISHED)
    Leases.suspects = suspects  # type: ignore[method-assign]
    Leases._is_dead = lambda self, seen: True  # type: ignore[method-assign]


def without_owner() -> None:
    """A process that lost its exchange still writes its answer."""
    answer = Exchanges.answer

    def answers(self: Exchanges, exchange_id: int, owner: str, *given: Any, **options: Any) -> Outcome:
        with self.db.write() as session:
            session.execute(
                update(Exchange).where(Exchange.id == exchange_id).values(owner=owner, status="running")
            )
        return answer(self, exchange_id, owner, *given, **options)

    Exchanges.answer = answers  # type: ignore[method-assign]


def without_take_over() -> None:
    """What a dead process left stays where it is."""

    def nobody(*_arguments: Any, **_options: Any) -> None:
        return None

    Leases.take_over = nobody  # type: ignore[method-assign]


def without_single_delivery() -> None:
    """An answer that went out one way may go out another way as well."""

    def deliver(self: Deliveries, exchange_id: int, via: Via) -> Via | None:
        return via

    Deliveries.deliver = deliver  # type: ignore[method-assign]


GUARDS: Mapping[str, Callable[[], None]] = {
    "unique_key": without_unique_key,
    "lease": without_lease,
    "owner": without_owner,
    "take_over": without_take_over,
    "single_delivery": without_single_delivery,
}


def remove(name: str) -> None:
    """Takes out the guard of this name; empty takes out nothing."""
    if name:
        GUARDS[name]()
