"""Tokens: what platforms gave us to call them with, shared by every process of every host.

A platform's token is fetched by one process and used by all: independent fetchers would knock each other's
tokens out. Who fetches is decided by one conditional update; the others use the old token or wait.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.db import Database, changed, now_ms
from storage.models import Token


class Tokens:
    """The shared tokens by name. Every method raises `Unavailable` when the database does not answer."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def get(self, name: str) -> tuple[str, int] | None:
        """The newest token and the unix milliseconds at which it ends; None when there never was one."""
        with self.db.read() as session:
            found = session.execute(
                select(Token.value, Token.expires_ms).where(Token.name == name)
            ).one_or_none()
        return (found.value, found.expires_ms) if found is not None and found.value else None

    def may_refresh(self, name: str, owner: str, seconds: float) -> bool:
        """Whether `owner` is the one who fetches a new token now; nobody else is for so many seconds.

        The right ends with `store` or `leave`, and with the seconds should its owner have died.
        """
        now, lease_ms = now_ms(), round(seconds * 1000)
        right = {"refresher": owner, "refresh_until_ms": now + lease_ms}
        # twice the time ahead of us is a clock that was wrong, and must not keep everybody waiting
        free = or_(Token.refresh_until_ms <= now, Token.refresh_until_ms > now + 2 * lease_ms)

        def take(session: Session) -> bool:
            if _change(session, name, free, **right):
                return True
            if session.scalar(select(Token.name).where(Token.name == name)) is not None:
                return False
            session.add(Token(name=name, value="", expires_ms=0, **right))
            return True

        try:
            return self.db.transact(take)
        except IntegrityError:
            # another process added the row between our look and our insert
            return False

    def store(self, name: str, value: str, expires_ms: int) -> None:
        """Makes a new token everybody's, and ends the right to fetch one."""
        values = {"value": value, "expires_ms": expires_ms, "refresher": None, "refresh_until_ms": 0}

        def put(session: Session) -> None:
            if not _change(session, name, **values):
                session.add(Token(name=name, **values))

        try:
            self.db.transact(put)
        except IntegrityError:
            # two had no row to change: the second has one now
            self.db.transact(put)

    def leave(self, name: str, owner: str) -> None:
        """Gives the right to fetch back: it came to nothing, and another may try."""
        self.db.transact(
            lambda session: _change(
                session, name, Token.refresher == owner, refresher=None, refresh_until_ms=0
            )
        )


def _change(session: Session, name: str, *conditions: ColumnElement[bool], **values: object) -> bool:
    return bool(
        changed(session.execute(update(Token).where(Token.name == name, *conditions).values(**values)))
    )
