"""What a handoff's row is made of: its columns for each turn that things take, and its end."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from errors import NotFound
from handler.handoff import OWNED, Escalation, Person
from storage.db import Ask, now_ms
from storage.handoff_news import tell_change
from storage.handoff_tables import Handoff, HandoffNote, HandoffStep, TransferRequest
from storage.models import DialogueSession, Message
from storage.statements import among, table, unattended

_handoffs = table(Handoff)
_rows = select(_handoffs).where(among(_handoffs.c.session_id, "dialogues"))


def handoffs_of(ask: Ask, dialogues: Sequence[int]) -> dict[int, Handoff]:
    """The rows as they are now, by the dialogue's number; objects that no session looks after."""
    rows = ask(_rows, {"dialogues": dialogues})
    return {row.session_id: unattended(Handoff, row._mapping) for row in rows}


def row_of(session: Session, session_id: int, now: int) -> Handoff:
    """The dialogue's row as it is in the database, made when there is none."""
    found = session.scalars(
        select(Handoff).where(Handoff.session_id == session_id).execution_options(populate_existing=True)
    ).first()
    if found is not None:
        return found
    if session.get(DialogueSession, session_id) is None:
        raise NotFound("there is no such session")
    found = Handoff(
        session_id=session_id,
        status="bot_active",
        revision=1,
        details="",
        vip=False,
        urgent=False,
        times=0,
        mail_to="",
        told_until=session.scalar(select(func.max(Message.id)).where(Message.session_id == session_id)) or 0,
        tell_until=0,
        rating_open=False,
        tags=[],
        email="",
        created_ms=now,
        updated_ms=now,
    )
    session.add(found)
    session.flush()
    return found


def called(row: Handoff, why: Escalation, now: int) -> dict[str, object]:
    """The columns of a session whose customer wants a person."""
    return {
        **nobody(),
        "reason": why.reason,
        "details": why.details,
        "severity": why.severity,
        "vip": row.vip or why.vip,
        "urgent": why.urgent,
        "times": row.times + 1,
        "trigger_ms": now,
        "assigned_ms": None,
        "customer_ms": now,
        "rating_open": False,
    }


def last_agent(session: Session, session_id: int) -> str | None:
    """Who served the session last."""
    last = session.scalars(
        select(HandoffStep)
        .where(HandoffStep.session_id == session_id, HandoffStep.action == "release")
        .order_by(HandoffStep.id.desc())
        .limit(1)
    ).first()
    return None if last is None else last.details.get("agent")


def seconds_since(moment: int | None, now: int) -> float:
    """Seconds between two moments in milliseconds; 0 when there was no first one."""
    return 0.0 if moment is None else max(0, now - moment) / 1000


def why_called(why: Escalation) -> dict[str, object]:
    """The reason as the audit keeps it."""
    return {"reason": why.reason, "details": why.details, "severity": why.severity}


def nobody() -> dict[str, object]:
    """The columns of a session that no agent has."""
    return {"agent_id": None, "agent_username": None, "agent_name": None}


def theirs(who: Person, now: int) -> dict[str, object]:
    """The columns of a session that this agent has from now on."""
    mine = {"agent_id": who.id, "agent_username": who.username, "agent_name": who.name}
    return {**mine, "agent_ms": now, "customer_ms": now, "rating_open": False}


def forget_handoffs(session: Session, dialogues: Sequence[int]) -> None:
    """The customer of these dialogues has left: nobody has them any more, and what they said is gone.

    Who did what stays, without words.
    """
    whose = Handoff.session_id.in_(dialogues)
    held = session.execute(
        select(Handoff.session_id, Handoff.status).where(whose, Handoff.status.in_(OWNED))
    ).all()
    session.execute(
        update(Handoff)
        .where(whose)
        .values(
            **nobody(),
            status="bot_active",
            revision=Handoff.revision + 1,
            details="",
            mail_to="",
            tags=[],
            email="",
            rating_open=False,
            tell_until=Handoff.told_until,
            updated_ms=now_ms(),
        )
    )
    session.execute(update(HandoffStep).where(HandoffStep.session_id.in_(dialogues)).values(details={}))
    session.execute(delete(HandoffNote).where(HandoffNote.session_id.in_(dialogues)))
    session.execute(delete(TransferRequest).where(TransferRequest.session_id.in_(dialogues)))
    for number, status in held:
        session.add(
            HandoffStep(
                session_id=number,
                actor="customer",
                action="left",
                from_status=status,
                to_status="bot_active",
                details={},
                created_ms=now_ms(),
            )
        )
        tell_change(
            session,
            number,
            "left",
            before=status,
            after="bot_active",
            agent=None,
            actor="customer",
            details={},
        )
