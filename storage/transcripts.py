"""Transcripts: dialogues as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from handler.message import Customer, Line, Role
from storage.db import Database
from storage.models import DialogueSession, Message

LINES = 50


class Transcripts:
    """Reads transcripts."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def lines(self, who: Customer) -> list[Line]:
        """The newest fifty lines, oldest first; none when there is no such dialogue."""
        with self.db.read() as session:
            dialogue = _dialogue(session, who)
            newest = (
                []
                if dialogue is None
                else session.scalars(
                    select(Message)
                    .where(Message.session_id == dialogue.id)
                    .order_by(Message.id.desc())
                    .limit(LINES)
                ).all()
            )
        return [Line(cast("Role", each.role), each.text, each.created_ms) for each in reversed(newest)]

    def find(self, candidates: Sequence[Customer]) -> Customer | None:
        """Whichever of the dialogues went on last; None when none of them exists."""
        latest: tuple[int, Customer] | None = None
        with self.db.read() as session:
            for who in candidates:
                if (dialogue := _dialogue(session, who)) is None:
                    continue
                newest = session.scalar(select(func.max(Message.id)).where(Message.session_id == dialogue.id))
                latest = max((newest or 0, who), latest or (-1, who), key=lambda each: each[0])
        return latest[1] if latest else None


def _dialogue(session: Session, who: Customer) -> DialogueSession | None:
    return session.scalars(
        select(DialogueSession).filter_by(
            platform=who.platform, account=who.account, user_id=who.user, session_key=who.session
        )
    ).first()
