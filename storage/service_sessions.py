"""Sessions of the session service: opened by a caller for one of its users, ended by silence.

A session's own row holds what the caller said about it; its dialogue and answers are exchanges like all
others. What a tenant may not see is, to it, not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from errors import TooManyRequests
from handler.message import Line, ServiceChat, ServiceSession, ServiceStats
from storage.db import Database, changed, now_ms
from storage.deliveries import Deliveries
from storage.exchange_rows import digest, reply_of
from storage.models import Exchange
from storage.service_tables import OpenedSession

PLATFORM = "sessions"
OPEN_TRIES = 20
"""A user's places that may be snatched away under a caller's nose before it is told to come again."""


class ServiceSessions:
    """The sessions and their chats. `clock` gives unix milliseconds."""

    def __init__(self, db: Database, clock: Callable[[], int] = now_ms) -> None:
        self.db = db
        self.clock = clock

    def open(
        self,
        tenant: str,
        user: str,
        *,
        bot_id: str,
        earlier: Sequence[Line],
        remembers: bool,
        metadata: Mapping[str, object],
        lifetime: float,
        limit: int,
    ) -> ServiceSession:
        """A new session that ends after `lifetime` seconds without a message.

        `TooManyRequests` when the user has `limit` of them already, whoever opens them at the same time.
        """

        def step(session: Session) -> OpenedSession:
            now = self.clock()
            mine = OpenedSession.tenant == tenant, OpenedSession.user_id == user
            session.execute(update(OpenedSession).where(*mine, ~_alive(now)).values(slot=None))
            taken = set(session.scalars(select(OpenedSession.slot).where(*mine, _alive(now))))
            free = next((slot for slot in range(limit) if slot not in taken), None)
            if free is None:
                raise TooManyRequests(f"this user has {limit} sessions already")
            row = OpenedSession(
                key=uuid.uuid4().hex,
                tenant=tenant,
                user_id=user,
                slot=free,
                bot_id=bot_id,
                earlier=[asdict(each) for each in earlier],
                remembers=remembers,
                details=dict(metadata),
                status="active",
                messages=0,
                created_ms=now,
                updated_ms=now,
                expires_ms=now + round(lifetime * 1000),
            )
            session.add(row)
            session.flush()
            # as it was stored, and not as it was given
            session.refresh(row)
            return row

        for _ in range(OPEN_TRIES):
            try:
                return _shown(self.db.transact(step))
            except IntegrityError:
                # somebody opened another at the same moment and has the place
                continue
        raise TooManyRequests("this user's sessions are being opened too fast")

    def get(self, tenant: str, key: str) -> ServiceSession | None:
        """The session as it is now; None when it has ended or is not the tenant's."""
        with self.db.read() as session:
            row = session.scalars(select(OpenedSession).where(*self._one(tenant, key))).first()
        return None if row is None else _shown(row)

    def use(self, tenant: str, key: str, lifetime: float) -> ServiceSession | None:
        """Counts a message and begins the session's `lifetime` seconds anew; None as `get`."""
        now = self.clock()
        values = {
            "messages": OpenedSession.messages + 1,
            "updated_ms": now,
            "expires_ms": now + round(lifetime * 1000),
        }
        return self._change(tenant, key, values)

    def end(self, tenant: str, key: str) -> ServiceSession | None:
        """Ends the session, once; None as `get`."""
        now = self.clock()
        values = {"status": "terminated", "slot": None, "updated_ms": now, "expires_ms": now}
        return self._change(tenant, key, values)

    def of_user(self, tenant: str, user: str) -> list[ServiceSession]:
        """The user's sessions that have not ended, the newest first."""
        with self.db.read() as session:
            rows = session.scalars(
                select(OpenedSession)
                .where(
                    OpenedSession.tenant == tenant,
                    OpenedSession.user_id == user,
                    _alive(self.clock()),
                )
                .order_by(OpenedSession.id.desc())
            ).all()
        return [_shown(row) for row in rows]

    def chat(self, tenant: str, chat_id: str, lifetime: float) -> ServiceChat | None:
        """A chat asked in the last `lifetime` seconds, of the tenant's, whether its session has ended."""
        with self.db.read() as session:
            row = session.scalars(
                select(Exchange).where(
                    Exchange.platform == PLATFORM,
                    Exchange.account == tenant,
                    Exchange.dedupe_key == digest(chat_id),
                    Exchange.created_ms >= self.clock() - round(lifetime * 1000),
                )
            ).first()
        return None if row is None else _chat(row)

    def chats(self, of: ServiceSession, lifetime: float | None = None, limit: int = 50) -> list[ServiceChat]:
        """The session's newest chats, oldest first; those of the last `lifetime` seconds, or all."""
        since = of.created_ms
        if lifetime is not None:
            since = max(since, self.clock() - round(lifetime * 1000))
        with self.db.read() as session:
            rows = session.scalars(
                select(Exchange)
                .where(
                    Exchange.user_id == of.user,
                    Exchange.created_ms >= since,
                    Exchange.platform == PLATFORM,
                    Exchange.account == of.tenant,
                    # one that remembers nothing has a dialogue for each message
                    or_(
                        Exchange.session_key == of.id,
                        Exchange.session_key.startswith(f"{of.id}.", autoescape=True),
                    ),
                )
                .order_by(Exchange.created_ms.desc(), Exchange.id.desc())
                .limit(limit)
            ).all()
        return [_chat(row) for row in reversed(rows)]

    def fetched(self, exchange_id: int) -> None:
        """Records that a caller came for an answer that had not reached it."""
        Deliveries(self.db).deliver(exchange_id, "fetch")

    def clean_up(self, tenant: str | None = None) -> int:
        """Deletes the sessions that have ended, of one tenant or of all; returns how many."""
        ended = [~_alive(self.clock())]
        if tenant is not None:
            ended.append(OpenedSession.tenant == tenant)
        return self.db.transact(lambda session: changed(session.execute(delete(OpenedSession).where(*ended))))

    def stats(self, tenant: str) -> ServiceStats:
        """What there is of the tenant's now."""
        now = self.clock()
        with self.db.read() as session:
            active, users, messages = session.execute(
                select(
                    func.count(),
                    func.count(OpenedSession.user_id.distinct()),
                    func.coalesce(func.sum(OpenedSession.messages), 0),
                ).where(OpenedSession.tenant == tenant, _alive(now))
            ).one()
            ended = session.scalar(
                select(func.count())
                .select_from(OpenedSession)
                .where(OpenedSession.tenant == tenant, ~_alive(now))
            )
        return ServiceStats(active, ended or 0, users, int(messages))

    def ping(self) -> None:
        """Raises `Unavailable` when the store is away."""
        self.db.ping()

    def _one(self, tenant: str, key: str) -> tuple[ColumnElement[bool], ...]:
        return OpenedSession.key == key, OpenedSession.tenant == tenant, _alive(self.clock())

    def _change(self, tenant: str, key: str, values: Mapping[str, Any]) -> ServiceSession | None:
        def step(session: Session) -> OpenedSession | None:
            if not changed(
                session.execute(update(OpenedSession).where(*self._one(tenant, key)).values(values))
            ):
                return None
            return session.scalars(select(OpenedSession).where(OpenedSession.key == key)).one()

        row = self.db.transact(step)
        return None if row is None else _shown(row)


def _alive(now: int) -> ColumnElement[bool]:
    return OpenedSession.expires_ms > now


def _shown(row: OpenedSession) -> ServiceSession:
    return ServiceSession(
        id=row.key,
        tenant=row.tenant,
        user=row.user_id,
        bot_id=row.bot_id,
        earlier=tuple(Line(**each) for each in row.earlier),
        remembers=row.remembers,
        metadata=row.details,
        status="active" if row.status == "active" else "terminated",
        messages=row.messages,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        expires_ms=row.expires_ms,
    )


def _chat(row: Exchange) -> ServiceChat:
    return ServiceChat(
        id=str(row.raw.get("chat_id", "")),
        session=row.session_key.partition(".")[0],
        exchange_id=row.id,
        question=row.question,
        reply=reply_of(row),
        created_ms=row.created_ms,
        answered_ms=row.answered_ms,
    )
