"""Quotas: how many messages may still be sent to a user of our own accord, counted for all processes.

A user who does something opens a window; each thing has a window of its own, and doing it again begins it
anew. Messages are taken from the window that closes first, before they are sent, and given back when the
platform certainly did not send them. The platform counts by itself and has the last word.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from handler.message import Grant
from storage.db import Database, changed, now_ms
from storage.outbound_tables import PushWindow
from storage.patience import within

OPEN_TRIES = 3
REQUEST_SECONDS = 1.0
"""What noting a window may wait for the database: a request waits with it."""


class Quotas:
    """The windows of every platform's users."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def opened(
        self, platform: str, account: str, user: str, *, by: str, at_ms: int, closes_ms: int, allowed: int
    ) -> bool:
        """The user did `by` at `at_ms`: `allowed` messages may follow until `closes_ms`.

        False when this, or something newer of the kind, is known already: a repeated delivery resets nothing.
        """
        who = {"platform": platform, "account": account, "user_id": user, "opened_by": by}
        fresh = {"opened_ms": at_ms, "closes_ms": closes_ms, "remaining": allowed}

        def begin(session: Session) -> bool:
            known = select(PushWindow.opened_ms).filter_by(**who)
            if (before := session.scalar(known)) is None:
                session.add(PushWindow(**who, **fresh))
                session.flush()
                return True
            if before >= at_ms:
                return False
            newer = update(PushWindow).filter_by(**who).where(PushWindow.opened_ms < at_ms).values(fresh)
            return bool(changed(session.execute(newer)))

        for tries_left in reversed(range(OPEN_TRIES)):
            try:
                with within(REQUEST_SECONDS):
                    return self.db.transact(begin)
            except IntegrityError:
                # another process inserted the row between our look and our insert
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def left(self, platform: str, account: str, user: str) -> int:
        """Messages that may be sent to the user right now, by our count."""
        with self.db.read() as session:
            windows = session.scalars(select(PushWindow).where(*_open(platform, account, user))).all()
        return sum(each.remaining for each in windows)

    def take(self, platform: str, account: str, user: str, most: int) -> Grant:
        """Takes up to `most` messages; what is granted may be sent by nobody else."""

        def grant(session: Session) -> Grant:
            taken: list[tuple[str, int, int]] = []
            windows = (
                select(PushWindow)
                .where(*_open(platform, account, user))
                .order_by(PushWindow.closes_ms, PushWindow.opened_by)
                .with_for_update()
            )
            for window in session.scalars(windows).all():
                number = min(window.remaining, most - sum(each[2] for each in taken))
                spend = (
                    update(PushWindow)
                    .where(
                        *_open(platform, account, user),
                        PushWindow.opened_by == window.opened_by,
                        PushWindow.opened_ms == window.opened_ms,
                        PushWindow.remaining >= number,
                    )
                    .values(remaining=PushWindow.remaining - number)
                    .execution_options(synchronize_session=False)
                )
                if number > 0 and changed(session.execute(spend)):
                    taken.append((window.opened_by, window.opened_ms, number))
            return Grant(tuple(taken))

        return self.db.transact(grant)

    def give_back(self, platform: str, account: str, user: str, grant: Grant, number: int) -> None:
        """Returns the last `number` messages of a grant; a window that began anew meanwhile needs none."""

        def put_back(session: Session) -> None:
            left = number
            for by, opened_ms, count in reversed(grant.taken):
                back = min(count, left)
                left -= back
                if back:
                    session.execute(
                        update(PushWindow)
                        .where(
                            *_whose(platform, account, user),
                            PushWindow.opened_by == by,
                            PushWindow.opened_ms == opened_ms,
                        )
                        .values(remaining=PushWindow.remaining + back)
                    )

        if number > 0:
            self.db.transact(put_back)


def _whose(platform: str, account: str, user: str) -> tuple[ColumnElement[bool], ...]:
    return PushWindow.platform == platform, PushWindow.account == account, PushWindow.user_id == user


def _open(platform: str, account: str, user: str) -> tuple[ColumnElement[bool], ...]:
    return (
        *_whose(platform, account, user),
        PushWindow.closes_ms > now_ms(),
        PushWindow.remaining > 0,
    )
