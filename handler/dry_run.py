"""Which sessions the rules would have escalated, over messages that were logged: nothing is changed. Pure.

Each rule is asked by itself, so that its own share shows; the gateway asks them in order and stops at the
first. A rule names a session once, by the first message that set it off.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from handler.handoff import Reason
from handler.message import MANUAL
from handler.regulator import Given, Rules, asked_for, gave_up

BOT = ("coze", "fallback", "library", "system")
"""Sources of answers that count when it is asked how the bot fares."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A message of the log, with its answer."""

    session_id: int
    user: str
    kind: str
    question: str
    source: str
    answer: Given
    at_ms: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A session that a rule would have escalated; `details` is the phrase, or how many answers failed."""

    reason: Reason
    session_id: int
    at_ms: int
    details: str


def replay(messages: Iterable[Logged], rules: Rules, vips: Collection[int] = ()) -> list[Hit]:
    """Every rule's sessions, in the order of time. `messages` are the oldest first.

    `vips`: sessions whose customers agents have marked.
    """
    latest: defaultdict[int, deque[Given]] = defaultdict(lambda: deque(maxlen=max(1, rules.threshold * 2)))
    found: dict[tuple[Reason, int], Hit] = {}

    def hit(reason: Reason, message: Logged, details: str) -> None:
        found.setdefault(
            (reason, message.session_id), Hit(reason, message.session_id, message.at_ms, details)
        )

    for each in messages:
        if each.kind == "text" and each.source not in MANUAL:
            # by itself: a VIP's phrase is the phrase's, too
            said = asked_for(each.question, "", replace(rules, vip_auto=False))
            if said is not None:
                hit(said.reason, each, said.details)
            known = asked_for(each.question, each.user, rules, vip=each.session_id in vips)
            if known is not None and known.reason == "vip":
                hit("vip", each, "")
        if each.source in BOT and each.kind != "leave":
            answers = latest[each.session_id]
            answers.appendleft(each.answer)
            failed = gave_up(answers, each.user, rules)
            if failed is not None:
                hit(failed.reason, each, failed.details)
                answers.clear()
    return sorted(found.values(), key=lambda each: (each.at_ms, each.session_id))
