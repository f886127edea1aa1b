"""What the workbench's templates show: rows of the list, lines of the talk, moments and spans in words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from handler.handoff import Priority
from storage.db import now_ms
from storage.handoff_queue import priority_of
from storage.handoff_tables import Handoff, HandoffStep
from storage.handoff_views import Seen, TranscriptLine
from storage.models import DialogueSession
from support.names import name_of

WITHOUT_NAMES = ("wechat",)
"""Platforms whose users have an id that nobody would call a name."""
LONGEST_NAME = 18
QUIET_ACTIONS = ("note", "whisper", "mark", "profile", "retry", "assign", "withdraw", "requeue", "reopen")
"""What is in the audit, and would only fill the service record."""


@dataclass(frozen=True, slots=True)
class Row:
    """A session in the list."""

    seen: Seen
    name: str
    who: str
    priority: Priority
    status: str
    agent: str
    mine: bool
    unanswered: bool
    place: int = 0


def row_of(seen: Seen, username: str, place: int = 0) -> Row:
    """The session as this agent's list shows it; `place` in the queue."""
    row, last = seen.row, seen.last
    status = row.status if row else "bot_active"
    return Row(
        seen=seen,
        name=name_of(seen.dialogue),
        who=short_name(seen.dialogue),
        priority=priority_of(row, now_ms()) if row else Priority(),
        status=status,
        agent=(row.agent_name or "") if row and status == "manual_live" else "",
        mine=bool(row and status == "manual_live" and row.agent_username == username),
        unanswered=status == "manual_live" and last is not None and last.role == "user",
        place=place,
    )


def short_name(dialogue: DialogueSession) -> str:
    """What to call the customer where there is little room."""
    name = dialogue.user_id
    return name if len(name) <= LONGEST_NAME else f"{name[:8]}…{name[-6:]}"


def called(dialogue: DialogueSession, words: Mapping[str, str]) -> str:
    """How a canned reply addresses the customer."""
    return words["canned_you"] if dialogue.platform in WITHOUT_NAMES else dialogue.user_id


def span(seconds: float, words: Mapping[str, str]) -> str:
    """A span of time in its largest unit."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return words[unit].format(n=int(seconds // length))
    return words["seconds"].format(n=int(seconds))


def moment(milliseconds: int, zone: str) -> str:
    """A moment as short as it can be told: the time alone when it is today."""
    at = datetime.fromtimestamp(milliseconds / 1000, ZoneInfo(zone))
    today = datetime.fromtimestamp(time.time(), ZoneInfo(zone))
    if at.date() == today.date():
        return at.strftime("%H:%M")
    return at.strftime("%m-%d %H:%M" if at.year == today.year else "%Y-%m-%d %H:%M")


def fate_of(line: TranscriptLine, carried: bool) -> str:
    """How a line of an agent's fares: the end of its word's key. `carried`: we bring it."""
    if line.fate is None:
        return ""
    if line.fate.state == "queued":
        if not carried:
            return "records"
        return "rides" if line.fate.error else "queued"
    return line.fate.state


def told(steps: Sequence[HandoffStep]) -> list[HandoffStep]:
    """The service record: what mattered to the customer, the newest first."""
    return [each for each in reversed(steps) if each.action not in QUIET_ACTIONS]


def ended(reason: str, words: Mapping[str, str]) -> str:
    """Why a session ended: one of the page's own reasons, perhaps with more about it, or free words."""
    key, _, more = reason.partition(": ")
    named = words.get(f"rel_{key}")
    return reason if named is None else " · ".join(filter(None, (named, more)))


def about(row: Handoff, words: Mapping[str, str]) -> str:
    """What called for a person: the customer's words, or how often the bot had failed."""
    if row.reason == "fail_loop" and row.details.isdigit():
        return words["fails"].format(n=row.details)
    return row.details[:200]


def served_by(row: Handoff | None) -> str:
    """The name of the agent who has the session now; empty: nobody."""
    return (row.agent_name or row.agent_username or "") if row and row.status == "manual_live" else ""
