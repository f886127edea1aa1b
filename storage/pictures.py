"""Pictures that no platform keeps for us: those of agents, and customers' uploads, for thirty days.

In the database, because whichever process is asked must have them.
"""

from __future__ import annotations

import secrets

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from handler.message import Picture
from storage.db import Database, changed, now_ms
from storage.pictures_tables import KeptPicture

KEPT_MS = 30 * 24 * 3600 * 1000
"""How long the transcripts show them."""
PURGED_AT_ONCE = 50


def new_name() -> str:
    """A picture's name that nobody can guess."""
    return secrets.token_urlsafe(24)


def put(session: Session, name: str, picture: Picture, session_id: int | None) -> None:
    """Keeps a picture in the caller's transaction."""
    session.add(
        KeptPicture(
            name=name,
            session_id=session_id,
            mime=picture.mime,
            content=picture.content,
            created_ms=now_ms(),
        )
    )


class Pictures:
    """The table. `Unavailable` when the database does not answer."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def keep(self, picture: Picture) -> str:
        """Keeps what a customer uploaded; returns the name by which agents are shown it."""
        name = new_name()
        self.db.transact(lambda session: put(session, name, picture, None))
        return name

    def get(self, name: str) -> Picture | None:
        """The picture; None when there is none of this name, or no longer."""
        return self._found(KeptPicture.name == name)

    def sent(self, name: str) -> Picture | None:
        """The same for what an agent sent, and for nothing else."""
        return self._found(KeptPicture.name == name, KeptPicture.session_id.is_not(None))

    def purge(self, now: int | None = None) -> int:
        """Deletes what is older than thirty days; returns how many."""
        before = (now_ms() if now is None else now) - KEPT_MS
        gone = 0
        while True:
            with self.db.read() as session:
                old = select(KeptPicture.name).where(KeptPicture.created_ms < before).limit(PURGED_AT_ONCE)
                names = session.scalars(old).all()
            if not names:
                return gone
            statement = delete(KeptPicture).where(KeptPicture.name.in_(names))
            gone += self.db.transact(lambda session, each=statement: changed(session.execute(each)))  # type: ignore[misc]

    def _found(self, *conditions: ColumnElement[bool]) -> Picture | None:
        with self.db.read() as session:
            row = session.scalars(select(KeptPicture).where(*conditions)).one_or_none()
        return Picture(row.content, row.mime) if row is not None else None
