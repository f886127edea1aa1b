"""What agents do with a session among themselves: hand it on, note, mark."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlalchemy.orm import Session

from errors import Conflict, Forbidden, NotFound
from handler.handoff import Person
from storage.db import changed
from storage.handoff_news import named
from storage.handoff_tables import Handoff, HandoffNote, TransferRequest
from storage.handoffs import Change, Handoffs
from storage.jobs import enqueue
from storage.presence import make_room

MOST_TAGS = 20
NOBODY = -1
"""No agent's number: who speaks through an API key has no page."""


class HandoffRequests:
    """Transfer requests, notes and tags."""

    def __init__(self, handoffs: Handoffs) -> None:
        self.handoffs = handoffs
        self.db = handoffs.db

    def ask(
        self, session_id: int, asker: str, target: Person, reason: str, note: str, *, anybodys: bool
    ) -> TransferRequest:
        """Asks `target` to take the session over; an earlier request of it is withdrawn.

        `anybodys` lets the asker hand on what is not theirs. `Conflict` when nobody has the session.
        """
        made: list[TransferRequest] = []

        def decide(session: Session, row: Handoff, now: int) -> Change:
            made.clear()
            if row.status != "manual_live":
                raise Conflict(f"INVALID_STATUS: {row.status}")
            if row.agent_username != asker and not anybodys:
                raise Forbidden("this session is not yours")
            if row.agent_username == target.username:
                raise Conflict("ALREADY_TAKEN: this agent has the session")
            _withdraw(session, session_id, now)
            request = TransferRequest(
                session_id=session_id,
                from_username=row.agent_username or "",
                to_username=target.username,
                to_name=target.name,
                reason=reason,
                note=note,
                status="pending",
                created_ms=now,
            )
            session.add(request)
            session.flush()
            made.append(request)
            return Change(None, "transfer_ask", {"agent_ms": now}, details={"to": target.username})

        self.handoffs.change(session_id, asker, decide)
        return made[0]

    def respond(self, number: int, who: Person, accept: bool, line: str) -> TransferRequest:
        """The target's answer; accepted, the session is theirs. `Conflict` when it is too late."""
        with self.db.read() as session:
            asked = session.get(TransferRequest, number)
        if asked is None or asked.to_username != who.username:
            raise NotFound("nobody asked you that")

        def decide(session: Session, row: Handoff, now: int) -> Change:
            values = {"status": "accepted" if accept else "declined", "answered_ms": now}
            mine = update(TransferRequest).where(
                TransferRequest.id == number, TransferRequest.status == "pending"
            )
            if not changed(session.execute(mine.values(values))):
                raise Conflict("this request was answered or withdrawn")
            if not accept:
                return Change(None, "transfer_decline", details={"by": who.username})
            if row.status != "manual_live" or row.agent_username != asked.from_username:
                raise Conflict(f"INVALID_STATUS: {row.status}")
            news = make_room(session, who, now, arrives=True)
            theirs = {"agent_id": who.id, "agent_username": who.username, "agent_name": who.name}
            details = {"from": asked.from_username, "to": who.username}
            return Change(None, "transfer", {**theirs, "agent_ms": now}, line, details, news)

        self.handoffs.change(asked.session_id, who.username, decide)
        with self.db.read() as session:
            found = session.get(TransferRequest, number)
        if found is None:
            raise NotFound("nobody asked you that")
        return found

    def reassign(self, session_id: int, actor: str, target: Person, reason: str, line: str) -> Handoff:
        """Gives a session that an agent has to another, without asking. `Conflict` without room for it."""

        def decide(session: Session, row: Handoff, now: int) -> Change:
            if row.status != "manual_live":
                raise Conflict(f"INVALID_STATUS: {row.status}")
            if row.agent_username == target.username:
                raise Conflict("ALREADY_TAKEN: this agent has the session")
            _withdraw(session, session_id, now)
            make_room(session, target, now, arrives=False)
            theirs = {"agent_id": target.id, "agent_username": target.username, "agent_name": target.name}
            details = {"from": row.agent_username, "to": target.username, "reason": reason}
            return Change(None, "reassign", {**theirs, "agent_ms": now}, line, details)

        return self.handoffs.change(session_id, actor, decide)[0]

    def note(self, session_id: int, who: Person, text: str, *, whispers: bool = False) -> HandoffNote:
        """Adds a note that agents alone see.

        `whispers` shows it to the agent who has the session at once; `Conflict` when nobody has it.
        """
        made: list[HandoffNote] = []

        def decide(session: Session, row: Handoff, now: int) -> Change:
            made.clear()
            if whispers and row.status != "manual_live":
                raise Conflict(f"INVALID_STATUS: {row.status}")
            written = HandoffNote(
                session_id=session_id, username=who.username, name=who.name, text=text, created_ms=now
            )
            session.add(written)
            session.flush()
            made.append(written)
            if not whispers:
                return Change(None, "note", details={"note": written.id})
            told = {"note_id": written.id, "content": text, "from_agent_id": who.username}
            told |= {"from_agent_name": who.name}
            heard = (row.agent_id or NOBODY, "whisper", named(session, session_id) | told)
            return Change(None, "whisper", details={"note": written.id}, news=(heard,))

        self.handoffs.change(session_id, who.username, decide)
        return made[0]

    def mark(
        self, session_id: int, actor: str, *, tags: Sequence[str] | None = None, vip: bool | None = None
    ) -> Handoff:
        """Sets the session's tags, or whether its customer is a VIP; None leaves it as it is."""

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            values: dict[str, object] = {}
            if tags is not None:
                values["tags"] = list(dict.fromkeys(tags))[:MOST_TAGS]
            if vip is not None:
                values["vip"] = vip
            return Change(None, "mark", values, details=values) if values else None

        return self.handoffs.change(session_id, actor, decide)[0]

    def profile(self, session_id: int, actor: str, email: str, *, left_word: bool = False) -> bool:
        """Notes the customer's e-mail address, or with an empty one forgets it; False when it is that.

        `left_word` notes it only while the customer has left word after hours; the desk gets another mail.
        """

        def decide(session: Session, row: Handoff, now: int) -> Change | None:
            if row.email == email or (left_word and row.status != "after_hours_email"):
                return None
            # the first one only: a customer must not be able to fill the desk's mailbox
            if left_word and row.mail_to and not row.email:
                enqueue(session, "mail", f"{session_id}:{row.revision}", {"session_id": session_id})
            # the address itself is the customer's own: the audit keeps that it was set
            details = {"email": "set" if email else "removed"}
            return Change(None, "profile", {"email": email}, details=details)

        return self.handoffs.change(session_id, actor, decide)[1]


def _withdraw(session: Session, session_id: int, now: int) -> None:
    session.execute(
        update(TransferRequest)
        .where(TransferRequest.session_id == session_id, TransferRequest.status == "pending")
        .values(status="withdrawn", answered_ms=now)
    )
