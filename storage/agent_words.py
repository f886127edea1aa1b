"""An agent's words: said in a transcript, and on their way to the customer.

They are an exchange that asks the bot nothing, so that they are in the message log, that the job of late
answers brings them, and that they ride along where nothing can be pushed. How they fare is the state of that
exchange and of its job.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from errors import Conflict, NotFound
from handler.handoff import OWNED, Person
from handler.message import Media
from storage.agent_lines import AGENT, QUOTA, Shown, Spoken, address, exchange_said, fate, key_of, put_back
from storage.columns import storable
from storage.db import Database, changed, now_ms
from storage.events import publish
from storage.handoff_news import tell_line
from storage.handoff_tables import Handoff, HandoffStep
from storage.jobs import AT_ONCE, LATE_STATES, enqueue, late_key
from storage.leftovers import AGENTS_KEPT_MS
from storage.models import DialogueSession, Exchange, Job, Message
from storage.patience import within
from storage.pictures import put
from storage.session_names import WEB

AFTER_REPLY_MS = 1_000
"""What goes out by itself comes behind the reply to the message that let it."""
GOING_ON = 50
"""Lines that one message of the customer's sets going."""
REQUEST_SECONDS = 1.0
"""What a reply that is due may wait for the database."""
KEY_USED = "KEY_REUSED: this key stands for another message"
"""A `Conflict`: one name was given to two different things."""


class AgentWords:
    """Says them, and knows what became of them. `ways` tells which job reaches a platform's customers."""

    def __init__(
        self,
        db: Database,
        ways: Callable[[str], Literal["push", "callback"] | None],
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.db = db
        self.ways = ways
        self.clock = clock

    def say(
        self, session_id: int, who: Person, text: str, key: str = "", shown: Shown | None = None
    ) -> Spoken:
        """Adds the agent's words, or a picture for which they stand; `Conflict` unless the session is theirs
        this moment.

        Under a `key` that this agent used here before it is the line said then; `Conflict` when that was
        another one.
        """
        kept_under = key_of(session_id, who, key)

        def step(session: Session) -> Spoken:
            now = self.clock()
            mine = update(Handoff).where(
                Handoff.session_id == session_id,
                Handoff.status == "manual_live",
                Handoff.agent_username == who.username,
            )
            theirs = changed(session.execute(mine.values(agent_ms=now, updated_ms=now)))
            # looked for behind the row's lock: whoever says the same this moment is seen
            if key and (before := self._said(session, session_id, kept_under, text)) is not None:
                return before
            if not theirs:
                row = session.scalars(select(Handoff).where(Handoff.session_id == session_id)).first()
                if row is not None and row.status == "manual_live":
                    raise Conflict(f"ALREADY_TAKEN: {row.agent_name}")
                raise Conflict(f"INVALID_STATUS: {row.status if row else 'bot_active'}")
            spoken = self._spoken(session, session_id, "agent", text, who, now, kept_under, shown)
            tell_line(session, session_id, spoken.message_id, "agent", who.username)
            return spoken

        return self.db.transact(step)

    def said(self, session_id: int, who: Person, text: str, key: str) -> Spoken | None:
        """The line that this agent said here under `key`; None when there is none. `Conflict` as `say`."""
        with self.db.read() as session:
            return self._said(session, session_id, key_of(session_id, who, key), text)

    def tell(self, session_id: int, text: str) -> Spoken:
        """Tells the customer something in nobody's name: that the session was closed, for example."""
        return self.db.transact(
            lambda session: self._spoken(
                session, session_id, "system", text, None, self.clock(), key_of(session_id)
            )
        )

    def withhold(self, exchange: Exchange, text: str, line: str) -> None:
        """Shows an answer of the bot's to the agents that came when the dialogue was a person's already."""
        if text.strip():

            def step(session: Session) -> None:
                shown = Message(
                    session_id=exchange.session_id,
                    role="system",
                    text=line.format(answer=text),
                    created_ms=self.clock(),
                )
                session.add(shown)
                session.flush()
                tell_line(session, exchange.session_id, shown.id, "system", None)

            self.db.transact(step)

    def seen(self, message_id: int) -> None:
        """The customer's open page has it."""
        exchange_id = select(Message.exchange_id).where(Message.id == message_id).scalar_subquery()
        statement = (
            update(Exchange)
            .where(Exchange.id == exchange_id, Exchange.source == "agent", Exchange.status == "answered")
            .values(status="delivered", delivery="stream", delivered_ms=self.clock())
            .execution_options(synchronize_session=False)
        )
        self.db.transact(lambda session: session.execute(statement))

    def again(self, message_id: int, session_id: int, actor: str) -> bool:
        """`actor` decides: what failed, or is in doubt, is sent once more. `NotFound` for other lines."""

        def step(session: Session) -> bool:
            exchange = exchange_said(session, message_id)
            if exchange.session_id != session_id:
                raise NotFound("there is no such line of an agent's")
            failed = (
                update(Exchange)
                .where(Exchange.id == exchange.id, Exchange.status == "undelivered")
                .values(status="answered", delivery_error=None)
                .execution_options(synchronize_session=False)
            )
            if exchange.later is None or not changed(session.execute(failed)):
                return False
            raw = address(session, exchange.session_id, exchange.later, self.clock())
            exchange.raw = {**exchange.raw, **raw}
            put_back(session, exchange, exchange.later, AT_ONCE)
            status = session.scalar(select(Handoff.status).where(Handoff.session_id == session_id))
            session.add(
                HandoffStep(
                    session_id=session_id,
                    actor=actor,
                    action="retry",
                    from_status=status or "bot_active",
                    to_status=status or "bot_active",
                    details={"message": message_id},
                    created_ms=self.clock(),
                )
            )
            return True

        return self.db.transact(step)

    def go_on(self, exchange_id: int) -> int:
        """The customer has written this message: what waits for that, and did not go with the reply, is sent.

        Each in its turn. Returns how many lines those are; most of the time none.
        """

        def step(session: Session) -> int:
            this = aliased(Exchange)
            waiting = session.scalars(
                select(Exchange)
                .join(this, this.session_id == Exchange.session_id)
                .where(this.id == exchange_id, Exchange.id < exchange_id, *self._waits(Exchange))
                .order_by(Exchange.id)
                .limit(GOING_ON)
            ).all()
            found = 0
            for each in waiting:
                again = (
                    update(Exchange)
                    .where(Exchange.id == each.id, Exchange.status == "undelivered")
                    .values(status="answered", delivery_error=None)
                    .execution_options(synchronize_session=False)
                )
                if each.later is not None and changed(session.execute(again)):
                    put_back(session, each, each.later, self.clock() + AFTER_REPLY_MS)
                    found += 1
            return found

        with within(REQUEST_SECONDS):
            return self.db.transact(step)

    def state(self, message_id: int) -> Spoken:
        """How one of an agent's lines fares. `NotFound` when it is none."""
        with self.db.read() as session:
            exchange = exchange_said(session, message_id)
            job = session.scalars(
                select(Job).where(Job.kind == exchange.later, Job.key == late_key(exchange.id))
            ).first()
        return Spoken(message_id, exchange.created_ms, *fate(exchange, job))

    def withholds(self, exchange_id: int, line: str) -> bool:
        """Whether the dialogue is a person's now: then the exchange's answer is shown to the agents."""
        with self.db.read() as session:
            exchange = session.scalars(
                select(Exchange)
                .join(Handoff, Handoff.session_id == Exchange.session_id)
                .where(Exchange.id == exchange_id, Handoff.status.in_(OWNED))
            ).first()
        if exchange is None:
            return False
        self.withhold(exchange, exchange.answer or "", line)
        return True

    def line_of(self, exchange_id: int, text: str) -> Spoken:
        """The line that a customer's message is in the transcript; `Conflict` when that is not `text`."""
        with self.db.read() as session:
            line = session.scalars(
                select(Message).where(Message.exchange_id == exchange_id, Message.role == "user")
            ).first()
        if line is None:
            raise NotFound("the message is no longer there")
        if line.text != storable(text):
            raise Conflict(KEY_USED)
        return Spoken(line.id, line.created_ms)

    def is_behind(self, exchange_id: int) -> bool:
        """Whether an earlier line of an agent's in the same dialogue is still on its way."""
        this, other = aliased(Exchange), aliased(Exchange)
        earlier = exists().where(
            this.id == exchange_id,
            other.session_id == this.session_id,
            other.source == "agent",
            other.status == "answered",
            other.later.is_not(None),
            other.id < this.id,
            Job.exchange_id == other.id,
            Job.status.in_(LATE_STATES),
        )
        with self.db.read() as session:
            return bool(session.scalar(select(earlier)))

    def held_up(self, exchange_id: int) -> str:
        """Why an earlier line of the dialogue waits for the customer's next message; this one then must."""
        this, other = aliased(Exchange), aliased(Exchange)
        earlier = (
            select(other.delivery_error)
            .join(this, this.session_id == other.session_id)
            .where(this.id == exchange_id, other.id < exchange_id, *self._waits(other))
            .limit(1)
        )
        with self.db.read() as session:
            return session.scalar(earlier) or ""

    def _waits(self, line: Any) -> tuple[ColumnElement[bool], ...]:
        """Lines that the customer's next message lets go."""
        return (
            line.source == "agent",
            line.status == "undelivered",
            line.created_ms >= self.clock() - AGENTS_KEPT_MS,
            or_(*(line.delivery_error.startswith(each, autoescape=True) for each in QUOTA)),
        )

    def _said(self, session: Session, session_id: int, kept_under: str, text: str) -> Spoken | None:
        found = session.execute(
            select(Exchange, Message)
            .join(Message, Message.exchange_id == Exchange.id)
            .join(DialogueSession, DialogueSession.id == Exchange.session_id)
            .where(
                DialogueSession.id == session_id,
                Exchange.platform == DialogueSession.platform,
                Exchange.account == DialogueSession.account,
                Exchange.dedupe_key == kept_under,
            )
        ).first()
        if found is None:
            return None
        exchange, line = found
        if exchange.answer != storable(text):
            raise Conflict(KEY_USED)
        return Spoken(line.id, line.created_ms)

    def _spoken(
        self,
        session: Session,
        session_id: int,
        role: str,
        text: str,
        who: Person | None,
        now: int,
        kept_under: str,
        shown: Shown | None = None,
    ) -> Spoken:
        dialogue = session.get(DialogueSession, session_id)
        if dialogue is None:
            raise NotFound("there is no such session")
        way = self.ways(dialogue.platform)
        answer, media = text, None
        if shown is not None:
            put(session, shown.name, shown.picture, session_id)
            media = [asdict(Media("image", shown.name, shown.url, mime=shown.picture.mime))]
            if not shown.url.startswith("/"):
                answer = f"{text} {shown.url}"  # where only words arrive
            if way is None and dialogue.platform != WEB:
                text = answer  # what is fetched are the lines
        raw: dict[str, Any] = {AGENT: {"id": who.username, "name": who.name} if who else {}}
        exchange = Exchange(
            trace_id=uuid.uuid4().hex,
            session_id=session_id,
            platform=dialogue.platform,
            account=dialogue.account,
            user_id=dialogue.user_id,
            session_key=dialogue.session_key,
            dedupe_key=kept_under,
            kind="event",
            question="",
            raw={**raw, **address(session, session_id, way, self.clock())},
            status="answered",
            lease_ms=0,
            attempts=1,
            coze_calls=0,
            answer=answer,
            media=media,
            source="agent",
            truncated=False,
            docs=[],
            suggestions=[],
            later=way,
            created_ms=now,
            answered_ms=now,
        )
        session.add(exchange)
        session.flush()
        line = Message(session_id=session_id, exchange_id=exchange.id, role=role, text=text, created_ms=now)
        session.add(line)
        session.flush()
        payload: dict[str, Any] = {"role": role, "content": text, "timestamp": now / 1000}
        payload |= {"message_id": str(line.id)}
        if shown is not None:
            payload["media"] = [{"kind": "image", "url": shown.url}]
        if who is not None:
            payload |= {"agent_id": who.username, "agent_name": who.name}
        publish(session, session_id, "manual_message", payload)
        if way is not None:
            enqueue(session, way, late_key(exchange.id), exchange_id=exchange.id)
        return Spoken(line.id, now)
