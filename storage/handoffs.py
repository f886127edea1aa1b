"""Handoffs: who has a dialogue, the bot or a person, and how that changes.

Every change looks at the row, decides, and updates it on the condition that nobody was quicker (`revision`);
what was done, the transcript's line and the customer's event are in the same transaction. Whoever loses looks
again, and then reads who has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from errors import Conflict, Forbidden
from handler.handoff import Escalation, Person, Status, may_become, status_of, steps
from handler.message import MANUAL
from storage.db import Database, changed, now_ms
from storage.events import publish
from storage.handoff_news import News, tell_change, tell_line
from storage.handoff_rows import (
    called,
    handoffs_of,
    last_agent,
    nobody,
    row_of,
    seconds_since,
    theirs,
    why_called,
)
from storage.handoff_tables import Handoff, HandoffStep, QueueDoor
from storage.jobs import enqueue
from storage.models import Exchange, Message
from storage.only_row import write_only_row
from storage.presence import make_room

TRIES = 20
"""Looks at a row that others change all the time."""
TELL = "tell_bot"
"""The job that writes a person's part of a dialogue into the bot's conversation."""
CUSTOMER, SYSTEM = "customer", "system"
"""Who acts when no agent does."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a row; `None` in `to` leaves the state alone."""

    to: Status | None
    action: str
    values: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""
    """Added to the transcript for everybody to read."""
    details: Mapping[str, Any] = field(default_factory=dict)
    news: Sequence[News] = ()
    """What agents learn besides."""


Decide = Callable[[Session, Handoff, int], Change | None]
"""Looks at the row at a moment, unix milliseconds; None changes nothing. May raise."""


class Handoffs:
    """The rows and their changes. `clock` gives unix milliseconds."""

    def __init__(self, db: Database, clock: Callable[[], int] = now_ms) -> None:
        self.db = db
        self.clock = clock

    def get(self, session_id: int) -> Handoff | None:
        """The row as it is now; None when no person ever had to do with the dialogue."""
        return handoffs_of(self.db.ask, [session_id]).get(session_id)

    def escalate(
        self, session_id: int, why: Escalation, *, actor: str, limit: int, line: str
    ) -> tuple[Handoff, bool]:
        """Puts the customer into the queue unless they are in it or with a person; the row, and whether so.

        `Conflict` when `limit` customers wait already, whoever comes at the same time.
        """

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.status in {"pending_manual", "manual_live"}:
                return None
            write_only_row(session, QueueDoor, {"passed": QueueDoor.passed + 1}, {"passed": 1})
            waiting = select(func.count()).select_from(Handoff).where(Handoff.status == "pending_manual")
            if (session.scalar(waiting) or 0) >= limit:
                raise Conflict("QUEUE_FULL")
            return Change(
                "pending_manual",
                "escalate",
                called(row, why, now) | {"pending_ms": now},
                line,
                why_called(why),
            )

        return self.change(session_id, actor, decide)

    def leave_word(
        self,
        session_id: int,
        why: Escalation,
        *,
        actor: str,
        line: str,
        mail_to: str,
        waiting: bool = False,
    ) -> tuple[Handoff, bool]:
        """Notes that somebody asked while nobody is there; with `mail_to` a job sends a mail.

        `waiting` does it with who waits in the queue, and with nobody else.
        """

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.status in {"manual_live", "after_hours_email"}:
                return None
            if (row.status == "pending_manual") is not waiting:
                return None
            values = called(row, why, now) | {"mail_to": mail_to, "mail_ms": None}
            if waiting:
                values |= {"times": row.times, **self.telling(session, row)}
            if mail_to:
                enqueue(session, "mail", f"{session_id}:{row.revision}", {"session_id": session_id})
            return Change("after_hours_email", "after_hours", values, line, why_called(why))

        return self.change(session_id, actor, decide)

    def mailed(self, session_id: int) -> None:
        """The mail server has taken the mail about this session."""
        statement = update(Handoff).where(Handoff.session_id == session_id).values(mail_ms=self.clock())
        self.db.transact(lambda session: session.execute(statement))

    def with_status(self, status: Status, limit: int = 1_000) -> list[Handoff]:
        """The sessions in one state, those that have not changed for longest first."""
        with self.db.read() as session:
            found = select(Handoff).where(Handoff.status == status).order_by(Handoff.updated_ms).limit(limit)
            return list(session.scalars(found))

    def take(self, session_id: int, who: Person, line: str) -> Handoff:
        """Makes `who` the one who answers. `Conflict` says who was quicker, or that `who` has no room."""

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.status == "manual_live":
                raise Conflict(f"ALREADY_TAKEN: {row.agent_name}")
            if not may_become(status_of(row.status), "manual_live"):
                raise Conflict(f"INVALID_STATUS: {row.status}")
            if row.status == "pending_manual" and row.agent_username not in {None, who.username}:
                raise Conflict(f"ASSIGNED_TO_OTHER: {row.agent_name}")
            waited = (
                {"waited_seconds": seconds_since(row.pending_ms, now)}
                if row.status == "pending_manual"
                else {}
            )
            news = make_room(session, who, now, arrives=True)
            mine = theirs(who, now) | {"live_ms": now}
            return Change("manual_live", "takeover", mine, line, waited, news)

        return self.change(session_id, who.username, decide)[0]

    def release(
        self,
        session_id: int,
        actor: str,
        line: str,
        *,
        reason: str,
        to: Status,
        ask: bool,
        only: str | None = None,
        idle_before: int | None = None,
    ) -> Handoff:
        """Ends a person's part; a job tells the bot of it. `ask` lets the next message be a rating.

        `Forbidden` when it is not the session of `only`; `Conflict` when the customer wrote since
        `idle_before`.
        """

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.status != "manual_live":
                raise Conflict(f"INVALID_STATUS: {row.status}")
            if only not in {None, row.agent_username}:
                raise Forbidden("this session is not yours")
            if idle_before is not None and max(row.customer_ms or 0, row.agent_ms or 0) >= idle_before:
                raise Conflict("the customer is there")
            values = {"ended_ms": now, "rating_open": ask, "rating": None, **self.telling(session, row)}
            seconds = seconds_since(row.live_ms, now)
            details = {"reason": reason, "agent": row.agent_username, "seconds": seconds}
            return Change(to, "release", {**nobody(), **values}, line, details)

        return self.change(session_id, actor, decide)[0]

    def leave_queue(self, session_id: int, actor: str, line: str) -> bool:
        """Takes a waiting customer out of the queue, back to the bot."""

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.status != "pending_manual":
                return None
            return Change("bot_active", "leave_queue", {**nobody(), **self.telling(session, row)}, line)

        return self.change(session_id, actor, decide)[1]

    def requeue(self, session_id: int, silent_before: int, line: str) -> bool:
        """Gives a session whose agent has been silent since `silent_before` back to the queue."""

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.status != "manual_live" or (row.agent_ms or 0) >= silent_before:
                return None
            # who was promised a person and lost them waits at the front: the old place counts
            details = {"from": row.agent_username}
            values = {**nobody(), "assigned_ms": None, "pending_ms": row.pending_ms or now}
            return Change("pending_manual", "requeue", values, line, details)

        return self.change(session_id, SYSTEM, decide)[1]

    def assign(self, session_id: int, who: Person) -> bool:
        """Keeps a waiting customer for an agent; False when they wait no more or are kept for somebody.

        `Conflict` when the agent has no room any more.
        """

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.status != "pending_manual" or row.agent_username is not None:
                return None
            make_room(session, who, now, arrives=False)
            mine = {"agent_id": who.id, "agent_username": who.username, "agent_name": who.name}
            return Change(None, "assign", {**mine, "assigned_ms": now}, details={"to": who.username})

        return self.change(session_id, SYSTEM, decide)[1]

    def withdraw(self, session_id: int, assigned_before: int) -> bool:
        """Lets everybody have a session again that was kept for an agent since before that moment."""

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            kept = row.status == "pending_manual" and row.agent_username is not None
            if not kept or (row.assigned_ms or 0) >= assigned_before:
                return None
            details = {"from": row.agent_username}
            return Change(None, "withdraw", {**nobody(), "assigned_ms": None}, details=details)

        return self.change(session_id, SYSTEM, decide)[1]

    def reopen(self, session_id: int) -> bool:
        """A closed dialogue goes on, with the bot."""

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            return Change("bot_active", "reopen") if row.status == "closed" else None

        return self.change(session_id, CUSTOMER, decide)[1]

    def rate(self, session_id: int, rating: int | None, *, late: bool = False) -> bool:
        """Takes the customer's rating, 1 to 5, of a person's part; None: they would rather talk of something.

        False when none is asked for, or another message was quicker. `late` takes one that is not asked for
        any more, as long as there is none.
        """

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            missing = late and row.ended_ms is not None and row.rating is None
            if not (row.rating_open or missing):
                return None
            values = {"rating_open": False, "rating": rating}
            details = {"rating": rating, "agent": last_agent(session, session_id)}
            return Change(None, "rate" if rating else "no_rating", values, details=details)

        return self.change(session_id, CUSTOMER, decide)[1]

    def customer_wrote(self, session_id: int, exchange_id: int) -> None:
        """Somebody is there: an idle session is closed. Agents learn of the line that this message is.

        Again for the same message when a process died over it: an agent may learn of a line twice.
        """

        def step(session: Session) -> None:
            mine = update(Handoff).where(Handoff.session_id == session_id)
            session.execute(mine.values(customer_ms=self.clock()))
            line = select(Message.id).where(Message.exchange_id == exchange_id, Message.role == "user")
            who = select(Handoff.agent_username).where(Handoff.session_id == session_id)
            if (number := session.scalar(line)) is not None:
                tell_line(session, session_id, number, "user", session.scalar(who))

        self.db.transact(step)

    def change(self, session_id: int, actor: str, decide: Decide) -> tuple[Handoff, bool]:
        """Carries out what `decide` says; the row afterwards, and whether anything was changed.

        `NotFound` when there is no such dialogue. `decide` may be called again when somebody was quicker.
        """

        def step(session: Session) -> tuple[Handoff, bool]:
            for _ in range(TRIES):
                row = row_of(session, session_id, self.clock())
                what = decide(session, row, self.clock())
                if what is None:
                    return row, False
                if self._carry_out(session, row, actor, what):
                    return row_of(session, session_id, self.clock()), True
            raise Conflict("this session is being changed by others: try again")

        for tries_left in reversed(range(TRIES)):
            try:
                return self.db.transact(step)
            except IntegrityError:
                # two made the dialogue's row at once: look again
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def telling(self, session: Session, row: Handoff) -> dict[str, object]:
        """Writes the job that tells the bot what was said without it; the columns that remember so."""
        newest = session.scalar(select(func.max(Message.id)).where(Message.session_id == row.session_id)) or 0
        payload = {"session_id": row.session_id, "after": row.told_until, "until": newest}
        enqueue(session, TELL, f"{row.session_id}:{newest}", payload)
        return {"tell_until": newest}

    def unheard(self, session_id: int, after: int, until: int) -> list[Message]:
        """The lines after one and up to another that customer and agents said and the bot was not asked."""
        with self.db.read() as session:
            return list(
                session.scalars(
                    select(Message)
                    .join(Exchange, Exchange.id == Message.exchange_id)
                    .where(
                        Message.session_id == session_id,
                        Message.id > after,
                        Message.id <= until,
                        Message.role.in_(("user", "agent")),
                        Message.text != "",
                        # a message of this moment has no answer yet, and will have none of the bot's
                        func.coalesce(Exchange.source, "desk").in_(("agent", *MANUAL)),
                    )
                    .order_by(Message.id)
                )
            )

    def told(self, session_id: int, until: int) -> None:
        """The bot knows of everything up to this line, or never will."""
        statement = (
            update(Handoff)
            .where(Handoff.session_id == session_id, Handoff.told_until < until)
            .values(told_until=until)
        )
        self.db.transact(lambda session: session.execute(statement))

    def _carry_out(self, session: Session, row: Handoff, actor: str, what: Change) -> bool:
        now = self.clock()
        began = before = status_of(row.status)
        way = steps(before, what.to) if what.to else ()
        values = {**what.values, "status": what.to or before, "revision": row.revision + 1, "updated_ms": now}
        won = changed(
            session.execute(
                update(Handoff)
                .where(Handoff.id == row.id, Handoff.revision == row.revision)
                .values(values)
                .execution_options(synchronize_session=False)
            )
        )
        if not won:
            return False
        for after in way or (before,):
            session.add(
                HandoffStep(
                    session_id=row.session_id,
                    actor=actor,
                    action=what.action,
                    from_status=before,
                    to_status=after,
                    details=dict(what.details),
                    created_ms=now,
                )
            )
            before = after
        if what.line:
            session.add(Message(session_id=row.session_id, role="system", text=what.line, created_ms=now))
        if way:
            told: dict[str, Any] = {"status": before, "reason": what.action, "timestamp": now / 1000}
            if before == "manual_live":
                told["agent_info"] = {
                    "agent_id": values.get("agent_username"),
                    "agent_name": values.get("agent_name"),
                }
            publish(session, row.session_id, "status_change", told)
        session.flush()
        tell_change(
            session,
            row.session_id,
            what.action,
            before=began,
            after=before,
            agent=values.get("agent_username", row.agent_username),
            actor=actor,
            details=what.details,
            news=what.news,
        )
        return True
