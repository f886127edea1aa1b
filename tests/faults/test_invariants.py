"""The checker of the fault suite sees each way in which a promise can be broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.wechat import Bubble, Outcome, Rule, Try
from sandbox.wechat.rules import Verdict
from sandbox.wechat.wire import Answer
from storage.models import Exchange, Job, Message
from tests.faults.invariants import UNFINISHED_MS, History, Sent, check, tally
from tests.faults.results import broken, row
from texts import Texts

ANSWER = "您问的是“几点开门”。"
LONG = f"{ANSWER}〔甲·1〕我继续说，〔甲·2〕。"
"""An answer that may be cut between two passages."""
LATER = 1_000_000 + UNFINISHED_MS + 1


def bubble(text: str) -> Bubble:
    return Bubble("text", text, {}, "passive", 0.0)


def one_try(rule: Rule | None = None) -> Try:
    answer = Answer(0.1, failure=rule) if rule in {Rule.LOST, Rule.LATE} else Answer(0.1, status=200)
    return Try(1, "", {}, b"", "", answer, Verdict(rule))


def exchange(number: int = 1, **fields: Any) -> Exchange:
    usual: dict[str, Any] = {
        "id": number,
        "user_id": "li.lei",
        "question": "几点开门[[delay:1]]",
        "status": "delivered",
        "delivery": "passive",
        "answer": ANSWER,
        "source": "coze",
        "created_ms": 1_000_000,
        "coze_calls": 1,
    }
    return Exchange(**{**usual, **fields})


def lines(number: int = 1) -> list[Message]:
    return [Message(exchange_id=number, role=role) for role in ("user", "assistant")]


def healthy(**changes: Any) -> History:
    sent = Sent("li.lei", "几点开门[[delay:1]]", Outcome("li.lei", "1", [one_try()]))
    usual: dict[str, Any] = {
        "sent": [sent],
        "seen": {"li.lei": [bubble(ANSWER)]},
        "exchanges": [exchange()],
        "lines": lines(),
        "asked": {"几点开门": 1},
        "now_ms": LATER,
    }
    return History(**{**usual, **changes})


def unheard(*, first: Rule = Rule.LOST) -> Sent:
    tries = [one_try(first), one_try(Rule.LOST), one_try(Rule.LOST)]
    return Sent("li.lei", "几点开门[[delay:1]]", Outcome("li.lei", "1", tries, notice=True))


BROKEN: dict[str, tuple[Callable[[], History], str]] = {
    "acknowledged and not logged": (lambda: healthy(exchanges=[], lines=[]), "logged 0 times"),
    "logged twice": (
        lambda: healthy(exchanges=[exchange(), exchange(2)], lines=[*lines(), *lines(2)]),
        "logged 2 times",
    ),
    "logged and never sent": (lambda: healthy(sent=[]), "sent 0 times"),
    "forgotten": (
        lambda: healthy(exchanges=[exchange(status="running", answer=None)], lines=lines()[:1]),
        "has been running for 60 s",
    ),
    "ended in silence": (lambda: healthy(exchanges=[exchange(answer="")]), "without an answer"),
    "another's answer": (
        lambda: healthy(exchanges=[exchange(answer="您问的是“天气”。")]),
        "the answer to another question",
    ),
    "an apology for nothing": (
        lambda: healthy(exchanges=[exchange(answer=Texts().apology, source="system")]),
        "an apology without a reason",
    ),
    "transcribed twice": (lambda: healthy(lines=[*lines(), *lines()]), "2 lines of the assistant"),
    "never seen": (lambda: healthy(seen={"li.lei": []}), "0 times, not 1"),
    "seen twice": (lambda: healthy(seen={"li.lei": [bubble(ANSWER)] * 2}), "2 times, not 1"),
    "twice in one bubble": (lambda: healthy(seen={"li.lei": [bubble(ANSWER * 2)]}), "2 times, not 1"),
    "a passage lost": (
        lambda: healthy(exchanges=[exchange(answer=LONG)], seen={"li.lei": [bubble(LONG[:-6])]}),
        "in parts 0 to 1 times, not 1",
    ),
    "a passage seen twice": (
        lambda: healthy(
            exchanges=[exchange(answer=LONG)], seen={"li.lei": [bubble(LONG), bubble("〔甲·2〕")]}
        ),
        "in parts 1 to 2 times, not 1",
    ),
    "nobody's answer": (
        lambda: healthy(seen={"li.lei": [bubble(ANSWER), bubble("别人的回答")]}),
        "nobody's answer",
    ),
    "given up": (
        lambda: healthy(exchanges=[exchange(status="undelivered", delivery_error="quota")]),
        "was given up: quota",
    ),
    "a job left over": (
        lambda: healthy(jobs=[Job(id=1, status="failed", error="45015")]),
        "is failed: 45015",
    ),
    "asked too often": (lambda: healthy(asked={"几点开门": 5}), "5 times"),
    "asked twice for nothing": (lambda: healthy(asked={"几点开门": 2}, faults=0), "2 times, with 0 faults"),
    "left waiting": (
        lambda: healthy(sent=[unheard(first=Rule.LATE)], holds=False, faults=0),
        "until WeChat hung up",
    ),
    "the notice": (lambda: healthy(sent=[unheard()], faults=0), "failure notice"),
}


def test_a_healthy_history_has_no_violation() -> None:
    assert check(healthy()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_history_is_named_for_what_is_broken(name: str) -> None:
    history, words = BROKEN[name]
    violations = check(history())
    assert any(words in each for each in violations), violations


def test_a_placeholder_and_a_fetch_are_one_answer() -> None:
    texts = Texts()
    fetched = exchange(2, question="继续", source="command", answer=ANSWER)
    history = healthy(
        sent=[*healthy().sent, Sent("li.lei", "继续", Outcome("li.lei", "2", [one_try()]))],
        seen={"li.lei": [bubble(texts.thinking.format(fetch="…")), bubble(ANSWER)]},
        exchanges=[exchange(delivery="fetch"), fetched],
        lines=[*lines(), *lines(2)],
    )
    assert check(history) == []


def test_a_long_answer_may_be_read_in_parts() -> None:
    history = healthy(
        exchanges=[exchange(answer=LONG)],
        seen={"li.lei": [bubble(f"{LONG[:-6]}……（未完）"), bubble("〔甲·2〕。")]},
    )
    assert check(history) == []


def test_a_failed_push_is_settled_once_its_answer_rode_along() -> None:
    refused = Job(id=1, status="failed", error="wechat_45047", exchange_id=1)
    assert check(healthy(exchanges=[exchange(delivery="fetch")], jobs=[refused])) == []
    assert check(healthy(exchanges=[exchange(delivery="push")], jobs=[refused]))


def test_a_push_in_doubt_may_have_arrived_or_not_and_is_never_repeated() -> None:
    doubted = exchange(status="undelivered", delivery=None, delivery_error="in_doubt")
    job = Job(id=1, status="in_doubt", exchange_id=1)
    for times in (0, 1):
        assert (
            check(healthy(exchanges=[doubted], jobs=[job], seen={"li.lei": [bubble(ANSWER)] * times})) == []
        )
    assert check(healthy(exchanges=[doubted], jobs=[job], seen={"li.lei": [bubble(ANSWER)] * 2}))


def test_a_message_that_died_with_its_three_workers_is_nobodys_promise() -> None:
    assert check(healthy(sent=[unheard()], exchanges=[], lines=[], seen={})) == []
    assert check(healthy(sent=[unheard()])) == []
    assert check(healthy(sent=[unheard(first=Rule.LATE)])) == []


def test_an_answer_may_be_cut_only_where_the_customer_was_shown_that_it_was() -> None:
    assert check(healthy(sent=[unheard()], seen={})) == []
    assert tally(healthy(sent=[unheard()], seen={})).cut == 1
    assert check(healthy(sent=[unheard()], seen={}, exchanges=[exchange(status="answered", delivery=None)]))
    assert check(healthy(sent=[unheard()], seen={}, exchanges=[exchange(delivery="push")]))


def test_the_tally_counts_what_the_checker_finds() -> None:
    counted = tally(healthy(seen={"li.lei": [bubble(ANSWER)] * 3}))
    assert (counted.sent, counted.tries, counted.lost, counted.duplicated) == (1, 1, 0, 1)
    assert tally(healthy(seen={})).lost == 1


def test_a_try_that_lost_a_message_is_not_outweighed_by_one_that_did_not() -> None:
    lost = row("E1", "here", tally(healthy(seen={})), faults=1, seconds=1.0)
    kept = row("E1", "here", tally(healthy()), faults=1, seconds=1.0)
    assert broken([kept, lost])
    assert not broken([kept, kept])
