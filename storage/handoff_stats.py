"""Numbers about the desk and the bot: now, since midnight, and of the last day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from handler.handoff import STATUSES
from storage.db import Database, now_ms
from storage.handoff_tables import Handoff, HandoffStep
from storage.models import Exchange

DAY_MS = 24 * 3600 * 1000
MOST_STEPS = 20_000
BOT = ("coze", "fallback", "library")

CALLS = ("escalate", "after_hours")

Json = dict[str, Any]


class HandoffStats:
    """Counts them afresh each time. `clock` gives unix milliseconds."""

    def __init__(self, db: Database, clock: Callable[[], int] = now_ms) -> None:
        self.db = db
        self.clock = clock

    def now(self, zone: str) -> Json:
        """Everything; seconds for times. `today` begins at midnight in `zone`."""
        now = self.clock()
        midnight = datetime.fromtimestamp(now / 1000, ZoneInfo(zone)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        today = round(midnight.timestamp() * 1000)
        with self.db.read() as session:
            per_status: dict[str, int] = dict.fromkeys(STATUSES, 0)
            counted = select(Handoff.status, func.count()).group_by(Handoff.status)
            per_status |= {str(status): number for status, number in session.execute(counted)}
            reasons = select(Handoff.reason, func.count()).where(Handoff.reason.is_not(None))
            by_reason = {
                str(reason): number for reason, number in session.execute(reasons.group_by(Handoff.reason))
            }
            waiting = session.scalars(
                select(Handoff.pending_ms).where(Handoff.status == "pending_manual")
            ).all()
            live = session.scalar(
                select(func.count(Handoff.agent_username.distinct())).where(Handoff.status == "manual_live")
            )
            steps = session.execute(
                select(HandoffStep.action, HandoffStep.actor, HandoffStep.details, HandoffStep.created_ms)
                .where(
                    HandoffStep.action.in_((*CALLS, "takeover", "release", "rate")),
                    HandoffStep.created_ms >= min(today, now - DAY_MS),
                )
                .order_by(HandoffStep.id.desc())
                .limit(MOST_STEPS)
            ).all()
            quality = _quality(session, now - DAY_MS)
        served = [details for action, _, details, _ in steps if action == "release"]
        taken = [details for action, _, details, _ in steps if action == "takeover"]
        called = [at for action, _, _, at in steps if action in CALLS and at >= now - DAY_MS]
        since = [(now - each) / 1000 for each in waiting if each is not None]
        answers = quality.pop("answers")
        return {
            "total_sessions": sum(per_status.values()),
            **per_status,
            "by_status": per_status,
            "avg_waiting_time": _mean([each["waited_seconds"] for each in taken if "waited_seconds" in each]),
            "max_waiting_time": round(max(since, default=0.0), 1),
            "avg_service_time": _mean([each["seconds"] for each in served if "seconds" in each]),
            "active_agents": live or 0,
            "by_escalation_reason": by_reason,
            "today": dict(Counter(action for action, _, _, at in steps if at >= today)),
            "ai_quality": {
                **quality,
                "escalation_rate": round(len(called) / answers, 4) if answers else 0,
            },
            "agent_efficiency": _agents([(action, details) for action, _, details, _ in steps]),
        }


def _quality(session: Session, since: int) -> Json:
    answered = Exchange.created_ms >= since, Exchange.source.in_((*BOT, "system"))
    number, took = session.execute(select(func.count(), func.avg(Exchange.total_ms)).where(*answered)).one()
    bad = session.scalar(
        select(func.count()).select_from(Exchange).where(*answered, Exchange.error_code.is_not(None))
    )
    before = (
        select(func.count())
        .select_from(Exchange)
        .join(Handoff, Handoff.session_id == Exchange.session_id)
        .where(Handoff.trigger_ms >= since, Exchange.created_ms <= Handoff.trigger_ms)
    )
    called = session.scalar(select(func.count()).select_from(Handoff).where(Handoff.trigger_ms >= since))
    asked = session.scalar(before) or 0
    return {
        "answers": number,
        "avg_response_time_ms": round(float(took or 0)),
        "success_rate": round(1 - (bad or 0) / number, 4) if number else 0,
        "avg_messages_before_escalation": round(asked / called, 1) if called else 0,
    }


def _agents(steps: list[tuple[str, Json]]) -> list[Json]:
    served: dict[str, list[float]] = defaultdict(list)
    rated: dict[str, list[int]] = defaultdict(list)
    for action, details in steps:
        agent = str(details.get("agent") or "")
        if action == "release" and agent:
            served[agent].append(float(details.get("seconds", 0)))
        elif action == "rate" and agent and details.get("rating"):
            rated[agent].append(int(details["rating"]))
    return [
        {
            "agent_id": agent,
            "sessions": len(served[agent]),
            "avg_service_time": _mean(served[agent]),
            "avg_rating": _mean([float(each) for each in rated[agent]]),
            "ratings": len(rated[agent]),
        }
        for agent in sorted({*served, *rated})
    ]


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 1) if values else 0
