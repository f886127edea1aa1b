"""How often a sign-in may be tried: failures in a row of a user name, and of an address, lengthen the wait.

An attempt is counted before the password is looked at, so that a hundred made at once are a hundred. The
wait applies to names without an account as well: it tells nobody which names there are.
"""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.agents_tables import SUBJECT_LENGTH, SignInAttempts
from storage.audit import By, record
from storage.columns import fitting
from storage.db import Database, changed, now_ms

FREE = {"name": 5, "address": 20}
"""Failures in a row before the first wait. Many people may share an address, nobody shares an account."""
FIRST_WAIT_MS = 30_000
LONGEST_WAIT_MS = 15 * 60_000
"""Long enough to make guessing hopeless, short enough that locking somebody out on purpose is no siege."""
FORGOTTEN_MS = 3_600_000
"""Quiet after which failures are forgotten."""


class Attempts:
    """The counting side; `forgive` is called by whoever opens the sign-in, in its transaction."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def count(self, username: str, address: str, by: By, now: int | None = None) -> int:
        """Counts an attempt as a failure, until it is forgiven. Returns 0, or milliseconds still to wait:
        then nothing was counted and the password must not be looked at.
        """
        now = now_ms() if now is None else now

        def step(session: Session) -> int:
            rows = [self._row(session, *subject, now) for subject in subjects(username, address)]
            if wait := max(row.until_ms for row, _ in rows) - now:
                if wait > 0:
                    return wait
            for row, free in rows:
                row.failures += 1
                row.last_ms = now
                if (over := row.failures - free) >= 0:
                    wait_ms = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(over, 16))
                    row.until_ms = now + wait_ms
                    record(session, by, "sign_in.throttled", row.subject, {"seconds": wait_ms // 1000})
            return 0

        self._know(username, address, now)
        return self.db.transact(step)

    def failed(self, username: str, by: By) -> None:
        """Records in the audit that a password did not fit, or that there is no such account."""
        self.db.transact(lambda session: record(session, by, "sign_in.failed", username))

    def forgiven(self, username: str, address: str) -> None:
        """Takes back what was counted: the password was right, or is another one now."""
        self.db.transact(lambda session: forgive(session, username, address))

    def purge(self, now: int | None = None) -> int:
        """Deletes what is forgotten anyway; returns how many rows."""
        before = (now_ms() if now is None else now) - FORGOTTEN_MS - LONGEST_WAIT_MS
        statement = delete(SignInAttempts).where(SignInAttempts.last_ms < before)
        return self.db.transact(lambda session: changed(session.execute(statement)))

    def _know(self, username: str, address: str, now: int) -> None:
        """Makes the rows that are missing, each by itself: under locks MariaDB would see a deadlock."""
        names = [subject for subject, _ in subjects(username, address)]
        there = select(SignInAttempts.subject).where(SignInAttempts.subject.in_(names))
        # as patient as the writes that follow: many come at once when somebody guesses
        known = self.db.transact(lambda session: session.scalars(there).all())
        for subject in names:
            if fitting(subject, SUBJECT_LENGTH) in known:
                continue
            row = {"subject": subject, "failures": 0, "last_ms": now, "until_ms": 0}
            try:
                self.db.transact(lambda session, row=row: session.execute(insert(SignInAttempts).values(row)))  # type: ignore[misc]
            except IntegrityError:
                pass  # another attempt has just made it

    def _row(self, session: Session, subject: str, free: int, now: int) -> tuple[SignInAttempts, int]:
        row = session.scalar(
            select(SignInAttempts).where(SignInAttempts.subject == subject).with_for_update()
        )
        if row is None:  # an old one, purged this very moment
            row = SignInAttempts(subject=subject, failures=0, last_ms=now, until_ms=0)
            session.add(row)
        if now - max(row.last_ms, row.until_ms) > FORGOTTEN_MS:
            row.failures = 0
        return row, free


def forgive(session: Session, username: str, address: str) -> None:
    """The attempt was right: the name's failures are forgotten, and the address has one less.

    An address keeps the others: whoever owns one account must not use it to go on guessing at the rest.
    """
    (name, _), (place, _) = subjects(username, address)
    session.execute(
        update(SignInAttempts).where(SignInAttempts.subject == name).values(failures=0, until_ms=0)
    )
    session.execute(
        update(SignInAttempts)
        .where(SignInAttempts.subject == place, SignInAttempts.failures > 0)
        .values(failures=SignInAttempts.failures - 1, until_ms=0)
    )


def subjects(username: str, address: str) -> tuple[tuple[str, int], tuple[str, int]]:
    """What is counted, always locked in this order: the name, the address, each with its free failures."""
    return (f"name:{username}", FREE["name"]), (f"address:{address}", FREE["address"])
