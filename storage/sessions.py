"""Dialogue sessions: which dialogues a user has, and which Coze conversation remembers each."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from handler.message import InboundMessage
from storage.db import Database, now_ms
from storage.models import DialogueSession, Message
from storage.patience import within
from storage.statements import added, table

LOOK_SECONDS = 0.45
"""What finding a dialogue may take: it comes before the claim, which needs its own second."""

_dialogues = table(DialogueSession)
_row = select(_dialogues).where(_dialogues.c.id == bindparam("dialogue"))
REMEMBER = update(_dialogues).where(_dialogues.c.id == bindparam("dialogue"))
_users = [_dialogues.c[each] == bindparam(each) for each in ("platform", "account", "user_id")]
FIND_NEWEST = select(_dialogues.c.session_key).where(*_users).order_by(_dialogues.c.id.desc()).limit(1)
"""The name of a user's newest dialogue."""
FIND_NUMBER = select(_dialogues.c.id).where(*_users, _dialogues.c.session_key == bindparam("session_key"))
"""The number of a user's dialogue of one name."""
_add_dialogue = insert(_dialogues)


class Sessions:
    """The dialogues' table; a row is made with the first exchange, or before it by `begin`."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def get(self, session_id: int) -> DialogueSession:
        """The dialogue of an exchange; raises `LookupError` when it has been erased."""
        found = self.db.first(DialogueSession, _row, {"dialogue": session_id})
        if found is None:
            raise LookupError(f"session {session_id}")
        return found

    def begin(self, platform: str, account: str, user: str) -> str:
        """Makes a dialogue without memory; returns its name, which nobody can guess."""
        name, now = secrets.token_hex(16), now_ms()
        who = {"platform": platform, "account": account, "user_id": user, "session_key": name}
        self.db.transact(lambda session: session.add(DialogueSession(**who, created_ms=now, updated_ms=now)))
        return name

    def newest(self, platform: str, account: str, user: str) -> str | None:
        """The name of the user's dialogue that was begun last; None when there is none."""
        with within(LOOK_SECONDS):
            found = self.db.ask(FIND_NEWEST, {"platform": platform, "account": account, "user_id": user})
        return found[0].session_key if found else None

    def number(self, platform: str, account: str, user: str, name: str) -> int | None:
        """The id of the user's dialogue of this name; None when this user has none."""
        who = {"platform": platform, "account": account, "user_id": user, "session_key": name}
        with within(LOOK_SECONDS):
            found = self.db.ask(FIND_NUMBER, who)
        return found[0].id if found else None

    def ensure(self, platform: str, account: str, user: str, name: str) -> int:
        """The id of the user's dialogue of this name, which is made when there is none."""
        who = {"platform": platform, "account": account, "user_id": user, "session_key": name}

        def step(session: Session) -> int:
            found = session.scalar(select(DialogueSession.id).filter_by(**who))
            if found is not None:
                return found
            fresh = DialogueSession(**who, created_ms=now_ms(), updated_ms=now_ms())
            session.add(fresh)
            session.flush()
            return fresh.id

        try:
            return self.db.transact(step)
        except IntegrityError:
            # somebody made it at the same moment
            return self.db.transact(step)

    def named(self, platform: str, name: str) -> DialogueSession | None:
        """The platform's dialogue of this name, or else the newest of the user of this name."""
        with within(LOOK_SECONDS), self.db.read() as session:
            for whose in (DialogueSession.session_key == name, DialogueSession.user_id == name):
                found = session.scalars(
                    select(DialogueSession)
                    .where(DialogueSession.platform == platform, whose)
                    .order_by(DialogueSession.id.desc())
                    .limit(1)
                ).first()
                if found is not None:
                    return found
        return None

    def exactly(self, platform: str, account: str, user: str, name: str) -> DialogueSession | None:
        """The dialogue with these four names."""
        with within(LOOK_SECONDS), self.db.read() as session:
            return session.scalars(
                select(DialogueSession).filter_by(
                    platform=platform, account=account, user_id=user, session_key=name
                )
            ).first()

    def remember(self, session_id: int, conversation_id: str | None, owner: str | None) -> None:
        """Keeps the conversation id that Coze answered with; None forgets it."""
        self.db.once(REMEMBER, remembered(session_id, conversation_id, owner))

    def forget(self, session_id: int) -> None:
        """The dialogue begins anew: its next question goes into a fresh conversation."""
        self.remember(session_id, None, None)

    def transcript(self, session_id: int, limit: int = 50) -> list[Message]:
        """The newest lines of the dialogue, oldest first."""
        with self.db.read() as session:
            newest = session.scalars(
                select(Message)
                .where(Message.session_id == session_id)
                .order_by(Message.id.desc())
                .limit(limit)
            ).all()
        return list(reversed(newest))


def remembered(session_id: int, conversation_id: str | None, owner: str | None) -> dict[str, Any]:
    """What `REMEMBER` keeps of the dialogue's conversation; None forgets it."""
    known = {"conversation_id": conversation_id, "conversation_owner": owner, "updated_ms": now_ms()}
    return {"dialogue": session_id, **known}


def find_or_add_dialogue(connection: Connection, message: InboundMessage, now: int) -> int:
    """The number of the dialogue's row, made on its first message. May raise IntegrityError when two make it
    at once."""
    who = {
        "platform": message.platform,
        "account": message.account,
        "user_id": message.user,
        "session_key": message.dialogue,
    }
    found = connection.execute(FIND_NUMBER, who).scalar()
    if found is not None:
        return int(found)
    return added(connection, _add_dialogue, {**who, "created_ms": now, "updated_ms": now})
