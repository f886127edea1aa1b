"""What agents' open pages learn at once of a session: that it changed, or that somebody said something.

Ids only; a page asks for the rest. Each is written last in the transaction that caused it: the lock that
orders agent events is held until the commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from storage.agent_events import EVERYONE, PRESENCE, tell
from storage.models import DialogueSession
from storage.session_names import name_of

WAITING = "pending_manual"
News = tuple[int, str, Mapping[str, object]]
"""For which agent, or `EVERYONE`; the type of the event; its fields."""


def tell_change(
    session: Session,
    session_id: int,
    action: str,
    *,
    before: str,
    after: str,
    agent: str | None,
    actor: str,
    details: Mapping[str, object],
    news: Sequence[News] = (),
) -> None:
    """`session_changed` for everybody, and `queue_changed` when it waits now, or did.

    `news` follows it.
    """
    told: dict[str, object] = {"action": action, "status": after, "agent_id": agent, "actor": actor}
    if "to" in details:
        told["to_agent_id"] = details["to"]
    ids = named(session, session_id)
    tell(session, EVERYONE, "session_changed", ids | told)
    if WAITING in {before, after}:
        tell(session, EVERYONE, "queue_changed", ids | {"action": action})
    for agent_id, kind, payload in news:
        tell(session, agent_id, kind, payload)


def tell_presence(session: Session, session_id: int, username: str, name: str, doing: str) -> None:
    """`presence` for everybody: an agent looks at a session, types in it, or has gone. Soon deleted."""
    tell(
        session,
        EVERYONE,
        PRESENCE,
        named(session, session_id)
        | {
            "agent_id": username,
            "agent_name": name,
            "doing": doing,
        },
    )


def tell_line(session: Session, session_id: int, message_id: int, role: str, agent: str | None) -> None:
    """`message` for everybody: a line of a session that a person has, or waits for; `agent` has it."""
    news = {"message_id": str(message_id), "role": role, "agent_id": agent}
    tell(session, EVERYONE, "message", named(session, session_id) | news)


def named(session: Session, session_id: int) -> dict[str, object]:
    """What an event calls a session by."""
    dialogue = session.get(DialogueSession, session_id)
    name = name_of(dialogue) if dialogue is not None else ""
    return {"session_id": str(session_id), "session_name": name}
