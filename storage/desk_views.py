"""What the workbench shows beside what the endpoints offer: counts, and who this customer was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from storage.db import Database
from storage.handoff_tables import Handoff
from storage.models import DialogueSession

OTHERS = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """How many sessions stand under each tab."""

    waiting: int
    live: int
    mine: int
    all: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """Another dialogue of the same customer; `status` is what its handoff says."""

    dialogue: DialogueSession
    status: str


class DeskViews:
    """Only reads."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def counts(self, username: str) -> Counts:
        """The numbers for this agent's tabs."""
        counted = select(Handoff.status, Handoff.agent_username, func.count()).group_by(
            Handoff.status, Handoff.agent_username
        )
        with self.db.read() as session:
            rows: Sequence[tuple[str, str | None, int]] = [
                (status, agent, number) for status, agent, number in session.execute(counted)
            ]
        return Counts(
            waiting=sum(number for status, _, number in rows if status == "pending_manual"),
            live=sum(number for status, _, number in rows if status == "manual_live"),
            mine=sum(
                number for status, agent, number in rows if status == "manual_live" and agent == username
            ),
            all=sum(number for *_, number in rows),
        )

    def earlier(self, dialogue: DialogueSession) -> list[Earlier]:
        """The customer's other dialogues, the newest first."""
        query = (
            select(DialogueSession, Handoff.status)
            .outerjoin(Handoff, Handoff.session_id == DialogueSession.id)
            .where(
                DialogueSession.platform == dialogue.platform,
                DialogueSession.account == dialogue.account,
                DialogueSession.user_id == dialogue.user_id,
                DialogueSession.id != dialogue.id,
            )
            .order_by(DialogueSession.id.desc())
            .limit(OTHERS)
        )
        with self.db.read() as session:
            return [Earlier(row, status or "bot_active") for row, status in session.execute(query)]
