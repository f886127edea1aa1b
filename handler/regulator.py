"""When a person is called although nobody typed the command. Pure.

First counts who asks (VIP), then what they say (whole phrases), then how the bot fares: answers that failed
one after the other. What Coze reports decides whether one failed, words come last.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from handler.handoff import Escalation

NOT_THE_BOTS = frozenset({"queue_full", "turn_timeout", "out_of_time", "not_yet"})
"""Errors that say nothing of the bot: too much was asked at once."""
NEGATED = re.compile(r"(?:不要|不用|不必|不需要|无需|别|不想|没)(?:再|给我|帮我)?$")
"""Before a phrase these words turn it round: 不用转人工服务."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator has set."""

    keywords: Collection[str] = ()
    urgent: Collection[str] = ()
    threshold: int = 3
    phrases: Collection[str] = ()
    no_recall_fails: bool = False
    vip_auto: bool = False
    vip_users: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as far as it matters here."""

    text: str
    error: str | None
    recalled: bool
    """Whether the bot found anything in its knowledge base."""
    from_bot: bool = True


def asked_for(text: str, user: str, rules: Rules, *, vip: bool = False) -> Escalation | None:
    """Whether this message calls a person before anybody answers."""
    vip = vip or user in rules.vip_users
    urgent = contains(text, rules.urgent) is not None
    if vip and rules.vip_auto:
        return Escalation("vip", "", "high", vip=True, urgent=urgent)
    if (phrase := contains(text, rules.keywords)) is not None:
        return Escalation("keyword", phrase, "high" if urgent else "medium", vip=vip, urgent=urgent)
    return None


def gave_up(latest: Iterable[Given], user: str, rules: Rules) -> Escalation | None:
    """Whether the answers, newest first, have failed often enough in a row."""
    if not rules.threshold:
        return None
    count = failures(latest, rules)
    if count < rules.threshold:
        return None
    return Escalation("fail_loop", f"{count}", "medium", vip=user in rules.vip_users)


def failures(latest: Iterable[Given], rules: Rules) -> int:
    """How many of the answers, newest first, failed before one did not."""
    count = 0
    for each in latest:
        if not each.from_bot or each.error in NOT_THE_BOTS:
            continue
        if not failed(each, rules):
            break
        count += 1
    return count


def failed(answer: Given, rules: Rules) -> bool:
    """Whether the customer is no wiser after it."""
    if answer.error is not None or not answer.text.strip():
        return True
    if rules.no_recall_fails and not answer.recalled:
        return True
    return any(phrase in answer.text for phrase in rules.phrases)


def contains(text: str, phrases: Collection[str]) -> str | None:
    """The first of the phrases that the text uses and does not deny."""
    for phrase in phrases:
        start = text.find(phrase)
        while start >= 0:
            if not NEGATED.search(text[max(0, start - 6) : start]):
                return phrase
            start = text.find(phrase, start + 1)
    return None
