"""What agents see of the desk's sessions: lists, one session whole, notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, case, exists, func, not_, or_, select
from sqlalchemy.orm import Session, aliased

from errors import NotFound
from handler.handoff import OVERDUE_SECONDS
from handler.message import Media
from storage.agent_lines import AGENT, Spoken, fate
from storage.db import Database, now_ms
from storage.handoff_tables import Handoff, HandoffNote, HandoffStep, TransferRequest
from storage.jobs import late_key
from storage.models import DialogueSession, Exchange, Job, Message

LINES = 50
STEPS = 200
Sort = Literal["default", "newest", "oldest", "vip", "waitTime"]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which sessions are wanted; empty fields want all. Moments are unix milliseconds."""

    status: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    agent: str | None = None
    """A username; an empty one: nobody's."""
    vip: bool | None = None
    returning: bool | None = None
    """Whether a person was called more than once, or the customer has an older dialogue."""
    keyword: str = ""
    sort: Sort = "default"
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One line as agents see it."""

    id: int
    role: str
    text: str
    said_ms: int
    agent: dict[str, str] = field(default_factory=dict)
    """`id` and `name` of the agent who said it."""
    fate: Spoken | None = None
    """How it reaches the customer; None for what is not an agent's."""
    media: Sequence[dict[str, str]] = ()
    """`kind`, `url` and `name` of each, and `id` where it can be fetched by the line's number."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A session in a list. `row` is None for a dialogue that no person ever had to do with."""

    dialogue: DialogueSession
    row: Handoff | None
    last: Message | None = None


class HandoffViews:
    """The reading side. `clock` gives unix milliseconds."""

    def __init__(self, db: Database, clock: Callable[[], int] = now_ms) -> None:
        self.db = db
        self.clock = clock

    def listed(self, sought: Sought) -> tuple[list[Seen], int]:
        """One page of the sessions, and how many there are."""
        conditions = self._conditions(sought)
        together = Handoff.session_id == DialogueSession.id
        page = (
            select(Handoff, DialogueSession)
            .join(DialogueSession, together)
            .where(*conditions)
            .order_by(*self._order(sought.sort), Handoff.id.desc())
            .limit(sought.limit)
            .offset(sought.offset)
        )
        count = select(func.count()).select_from(Handoff).join(DialogueSession, together).where(*conditions)
        with self.db.read() as session:
            found = session.execute(page).all()
            total = session.scalar(count) or 0
            last = _last_lines(session, [row.session_id for row, _ in found])
        return [Seen(dialogue, row, last.get(dialogue.id)) for row, dialogue in found], total

    def many(self, session_ids: Sequence[int]) -> dict[int, Seen]:
        """These sessions, by id."""
        with self.db.read() as session:
            found = session.execute(
                select(Handoff, DialogueSession)
                .join(DialogueSession, Handoff.session_id == DialogueSession.id)
                .where(Handoff.session_id.in_(session_ids))
            ).all()
            last = _last_lines(session, session_ids)
        return {dialogue.id: Seen(dialogue, row, last.get(dialogue.id)) for row, dialogue in found}

    def lines(self, session_id: int, limit: int = LINES) -> list[TranscriptLine]:
        """The newest lines of the transcript, oldest first."""
        with self.db.read() as session:
            found = session.execute(
                select(Message, Exchange, Job)
                .outerjoin(Exchange, Exchange.id == Message.exchange_id)
                .outerjoin(
                    Job,
                    and_(
                        Job.exchange_id == Exchange.id,
                        Exchange.source == "agent",
                        Job.kind == Exchange.later,
                    ),
                )
                .where(Message.session_id == session_id)
                .order_by(Message.id.desc())
                .limit(limit)
            ).all()
        return [_line(*each) for each in reversed(found)]

    def media(self, session_id: int, number: int, place: int) -> tuple[bool, DialogueSession, Media]:
        """What a line of the session carries at this place, and whether an agent sent it. `NotFound`."""
        with self.db.read() as session:
            row = session.execute(
                select(Message.role, Exchange.media, DialogueSession)
                .join(Exchange, Exchange.id == Message.exchange_id)
                .join(DialogueSession, DialogueSession.id == Message.session_id)
                .where(Message.id == number, Message.session_id == session_id)
                .where(Message.role.in_(("user", "agent")))
            ).one_or_none()
        if row is None or not 0 <= place < len(row.media or ()):
            raise NotFound("there is no such picture")
        return row.role == "agent", row.DialogueSession, Media(**row.media[place])

    def steps(self, session_id: int) -> list[HandoffStep]:
        """What was done to the session, the oldest first."""
        with self.db.read() as session:
            newest = session.scalars(
                select(HandoffStep)
                .where(HandoffStep.session_id == session_id)
                .order_by(HandoffStep.id.desc())
                .limit(STEPS)
            ).all()
        return list(reversed(newest))

    def notes(self, session_id: int) -> list[HandoffNote]:
        """What agents wrote for each other, the oldest first."""
        with self.db.read() as session:
            return list(
                session.scalars(
                    select(HandoffNote).where(HandoffNote.session_id == session_id).order_by(HandoffNote.id)
                )
            )

    def requests(self, username: str) -> list[tuple[TransferRequest, DialogueSession]]:
        """What this agent is asked to take over."""
        with self.db.read() as session:
            found = session.execute(
                select(TransferRequest, DialogueSession)
                .join(DialogueSession, DialogueSession.id == TransferRequest.session_id)
                .where(TransferRequest.to_username == username, TransferRequest.status == "pending")
                .order_by(TransferRequest.id)
            ).all()
        return [(request, dialogue) for request, dialogue in found]

    def request(self, number: int) -> TransferRequest:
        """The request of this number; `NotFound` when there is none."""
        with self.db.read() as session:
            found = session.get(TransferRequest, number)
        if found is None:
            raise NotFound("there is no such request")
        return found

    def _conditions(self, sought: Sought) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if sought.status:
            found.append(Handoff.status == sought.status)
        if sought.since_ms is not None:
            found.append(Handoff.updated_ms >= sought.since_ms)
        if sought.until_ms is not None:
            found.append(Handoff.updated_ms <= sought.until_ms)
        if sought.agent is not None:
            mine = Handoff.agent_username == sought.agent
            found.append(mine if sought.agent else Handoff.agent_username.is_(None))
        if sought.vip is not None:
            found.append(Handoff.vip.is_(sought.vip))
        if sought.returning is not None:
            before = aliased(DialogueSession)
            same = (before.platform, before.account, before.user_id)
            theirs = (DialogueSession.platform, DialogueSession.account, DialogueSession.user_id)
            older = exists().where(
                *(one == other for one, other in zip(same, theirs, strict=True)),
                before.id < DialogueSession.id,
            )
            returned = or_(Handoff.times > 1, older)
            found.append(returned if sought.returning else not_(returned))
        if sought.keyword:
            said = exists().where(
                Message.session_id == Handoff.session_id,
                Message.text.contains(sought.keyword, autoescape=True),
            )
            names = (DialogueSession.user_id, DialogueSession.session_key)
            found.append(or_(*(each.contains(sought.keyword, autoescape=True) for each in names), said))
        return found

    def _order(self, sort: Sort) -> tuple[ColumnElement[Any], ...]:
        waiting = Handoff.status == "pending_manual"
        overdue = and_(waiting, Handoff.pending_ms < self.clock() - OVERDUE_SECONDS * 1000)
        level = case((or_(Handoff.vip, overdue), 0), (or_(Handoff.urgent, Handoff.times > 1), 1), else_=2)
        place = case((waiting, 0), (Handoff.status == "manual_live", 1), else_=2)
        orders: dict[Sort, tuple[ColumnElement[Any], ...]] = {
            "default": (place.asc(), level.asc(), Handoff.pending_ms.asc()),
            "newest": (Handoff.updated_ms.desc(),),
            "oldest": (Handoff.updated_ms.asc(),),
            "vip": (Handoff.vip.desc(), Handoff.updated_ms.desc()),
            "waitTime": (place.asc(), Handoff.pending_ms.asc()),
        }
        return orders[sort]


def _last_lines(session: Session, session_ids: Sequence[int]) -> dict[int, Message]:
    newest = (
        select(func.max(Message.id)).where(Message.session_id.in_(session_ids)).group_by(Message.session_id)
    )
    found = session.scalars(select(Message).where(Message.id.in_(newest)))
    return {each.session_id: each for each in found}


def _line(line: Message, exchange: Exchange | None, job: Job | None) -> TranscriptLine:
    agent: dict[str, str] = {}
    state: Spoken | None = None
    said = exchange if line.role in {"user", "agent"} else None
    media = [_carried(each) for each in (said.media if said is not None else None) or ()]
    if exchange is not None and exchange.source == "agent" and (exchange.raw or {}).get(AGENT) is not None:
        agent = exchange.raw[AGENT]
        mine = job if job is not None and job.key == late_key(exchange.id) else None
        state = Spoken(line.id, line.created_ms, *fate(exchange, mine))
    return TranscriptLine(line.id, line.role, line.text, line.created_ms, agent, state, media)


def _carried(media: dict[str, str]) -> dict[str, str]:
    return {name: media.get(name, "") for name in ("kind", "url", "name", "id")}
