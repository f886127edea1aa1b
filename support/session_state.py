"""Rows → what clients know as `SessionState`. Timestamps are unix seconds."""

from __future__ import annotations

from typing import Any

from handler.handoff import Priority
from storage.db import now_ms
from storage.handoff_queue import priority_of
from storage.handoff_tables import Handoff, HandoffNote, HandoffStep
from storage.handoff_views import Seen, TranscriptLine
from storage.models import DialogueSession
from support.names import name_of

Json = dict[str, Any]


def state(
    dialogue: DialogueSession, row: Handoff | None, lines: list[TranscriptLine], fails: int, urgent: list[str]
) -> Json:
    """The whole state of a session."""
    return {
        **_core(dialogue, row, urgent),
        "conversation_id": dialogue.conversation_id,
        "history": [line_of(each) for each in lines],
        "mail": {
            "sent": bool(row and row.mail_ms),
            "email_to": row.mail_to.split(",") if row and row.mail_to else [],
        },
        "ai_fail_count": fails,
        "rating": row.rating if row else None,
    }


def summary(seen: Seen, urgent: list[str]) -> Json:
    """A session in a list."""
    last = seen.last
    return {
        **_core(seen.dialogue, seen.row, urgent),
        "last_message": None
        if last is None
        else {"role": last.role, "content": last.text[:200], "timestamp": last.created_ms / 1000},
    }


def line_of(line: TranscriptLine) -> Json:
    """A line of the history; an agent's with who said it and how it fares."""
    found: Json = {
        "id": str(line.id),
        "role": line.role,
        "content": line.text,
        "timestamp": line.said_ms / 1000,
    }
    if line.agent:
        found |= {"agent_id": line.agent.get("id"), "agent_name": line.agent.get("name")}
    if line.fate is not None:
        found |= {"delivery": line.fate.state, "delivery_error": line.fate.error}
    if line.media:
        shown = ("kind", "url", "name")
        found["media"] = [{name: each[name] for name in shown} for each in line.media]
    return found


def step_of(step: HandoffStep) -> Json:
    """A line of the audit trail."""
    return {
        "id": step.id,
        "operator": step.actor,
        "action": step.action,
        "status_from": step.from_status,
        "status_to": step.to_status,
        "details": step.details,
        "timestamp": step.created_ms / 1000,
    }


def note_of(note: HandoffNote) -> Json:
    """A note."""
    return {
        "id": note.id,
        "agent_id": note.username,
        "agent_name": note.name,
        "content": note.text,
        "timestamp": note.created_ms / 1000,
    }


def _core(dialogue: DialogueSession, row: Handoff | None, urgent: list[str]) -> Json:
    priority = priority_of(row, now_ms()) if row is not None else Priority()
    return {
        "session_name": name_of(dialogue),
        "platform": dialogue.platform,
        "account": dialogue.account,
        "status": row.status if row else "bot_active",
        "user_profile": {
            "nickname": dialogue.user_id,
            "vip": bool(row and row.vip),
            "email": row.email if row else "",
            "language": "zh-CN",
            "metadata": {"platform": dialogue.platform, "user_id": dialogue.user_id},
        },
        "escalation": None
        if row is None or row.reason is None
        else {
            "reason": row.reason,
            "details": row.details,
            "severity": row.severity,
            "trigger_at": _seconds(row.trigger_ms),
        },
        "assigned_agent": None
        if row is None or row.agent_username is None
        else {"id": row.agent_username, "name": row.agent_name},
        "priority": {
            "level": priority.level,
            "is_vip": priority.vip,
            "wait_time_seconds": round(priority.waited_seconds, 1),
            "is_timeout": priority.overdue,
            "is_repeat": priority.repeat,
            "urgent_keywords": urgent,
        },
        "tags": row.tags if row else [],
        "created_at": dialogue.created_ms / 1000,
        "updated_at": (row.updated_ms if row else dialogue.updated_ms) / 1000,
        "manual_start_at": _seconds(row.live_ms) if row else None,
        "last_manual_end_at": _seconds(row.ended_ms) if row else None,
    }


def _seconds(moment: int | None) -> float | None:
    return None if moment is None else moment / 1000
