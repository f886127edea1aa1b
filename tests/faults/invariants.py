"""What must be true after any fault: one checker over what customers saw and what the database says.

Pure: it is given a history and returns the violations in words. How the history came about, which faults
were in it and how it was collected is not its business.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.coze.faults import read_directives
from sandbox.wechat import Bubble, Outcome, Rule
from storage.exchange_rows import FINAL
from storage.models import Exchange, Job, Message
from texts import Texts

COZE_CALLS = 4
"""Calls of Coze that one message may cost, whatever dies on the way; without faults it is one."""
CONTINUED = ("command", "rest")
"""Where the words of a 继续 come from: another exchange's answer, or its rest."""
PASSAGE = re.compile("〔[^〔〕]+〕")
"""What tells one sentence of a long answer from another, wherever the answer is cut."""
UNFINISHED_MS = 60_000
"""Milliseconds after which a message without an answer counts as forgotten."""

Person = str
Saying = tuple[Person, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a customer, and what WeChat made of it."""

    openid: Person
    text: str
    outcome: Outcome

    @property
    def unheard(self) -> bool:
        """Whether no delivery was answered: their workers died, or there was none to take them."""
        return all(each.unanswered for each in self.outcome.tries)


@dataclass
class History:
    """Everything there is to judge by."""

    sent: Sequence[Sent] = ()
    seen: Mapping[Person, Sequence[Bubble]] = field(default_factory=dict)
    exchanges: Sequence[Exchange] = ()
    jobs: Sequence[Job] = ()
    lines: Sequence[Message] = ()
    shown_with: Collection[tuple[int, int]] = ()
    """Exchanges whose answer, or its rest, was shown with the reply to another, each with that one."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Question without directives -> how many chats Coze began for it."""
    now_ms: int = 0
    faults: int = COZE_CALLS
    """Workers that were killed or frozen: each excuses one more call of Coze for a message."""
    holds: bool = True
    """Whether deliveries are left to run out on purpose, because the next one may bring the answer."""
    texts: Texts = field(default_factory=Texts)

    @cached_property
    def doubted(self) -> frozenset[int]:
        """Exchanges whose answer was sent by a process that died before it could say so."""
        return frozenset(each.exchange_id or 0 for each in self.jobs if each.status == "in_doubt")

    @cached_property
    def cut(self) -> frozenset[int]:
        """Exchanges whose answer was being written when the worker of the last delivery died.

        The customer was shown the notice. No order of recording and writing helps: the other one would say an
        answer twice. What was left over and stood in the same bubble went with it.
        """
        unheard = {(each.openid, each.text) for each in self.sent if each.unheard}
        cut = {
            each.id
            for each in self.exchanges
            if each.delivery == "passive" and (each.user_id, each.question) in unheard and self.faults
        }
        fetched = [
            (each.id, by.id)
            for by in self.exchanges
            if by.id in cut and by.source in CONTINUED
            for each in self.exchanges
            if (each.user_id, each.answer, each.delivery) == (by.user_id, by.answer, "fetch")
        ]
        while aboard := {each for each, by in (*self.shown_with, *fetched) if by in cut} - cut:
            cut |= aboard
        return frozenset(cut)

    @cached_property
    def waiting(self) -> set[Person]:
        """Customers who would get an answer if they asked for it."""
        return {each.user_id for each in self.exchanges if each.status == "answered"}

    @cached_property
    def expected(self) -> dict[Person, Counter[str]]:
        """Answers that each customer should have seen, with how often."""
        found: defaultdict[Person, Counter[str]] = defaultdict(Counter)
        for each in self.answers():
            found[each.user_id][each.answer or ""] += 1
        return found

    def answers(self) -> Iterator[Exchange]:
        """Exchanges whose answer is one of its own: what 继续 says belongs to another exchange."""
        return (each for each in self.exchanges if each.status in FINAL and each.source not in CONTINUED)

    def times_seen(self, openid: Person, answer: str) -> tuple[int, int]:
        """How often the customer saw the part of the answer that was seen least, and the one seen most."""
        bubbles = self.seen.get(openid, ())
        counts = [sum(each.text.count(part) for each in bubbles) for part in parts(answer)]
        return min(counts, default=0), max(counts, default=0)

    @cached_property
    def brought(self) -> frozenset[int]:
        """Exchanges whose answer came when the customer asked or wrote again, whatever became of its job."""
        return frozenset(each.id for each in self.exchanges if each.delivery == "fetch")


@dataclass(frozen=True, slots=True)
class Tally:
    """A history in numbers, for the table of results."""

    sent: int
    tries: int
    lost: int
    duplicated: int
    in_doubt: int
    cut: int
    notices: int
    coze_calls: int
    """The most that one message cost."""


def check(history: History) -> list[str]:
    """Every violation, in words; empty when all promises were kept."""
    return [violation for rule in RULES for violation in rule(history)]


def tally(history: History) -> Tally:
    return Tally(
        sent=len(history.sent),
        tries=sum(len(each.outcome.tries) for each in history.sent),
        lost=len(list(_logged_once(history))) + len(list(_answered(history))) + len(list(_lost(history))),
        duplicated=len(list(_duplicated(history))) + len(list(_transcribed_once(history))),
        in_doubt=len(history.doubted),
        cut=sum(
            not history.times_seen(each.user_id, each.answer or "")[0]
            for each in history.exchanges
            if each.id in history.cut
        ),
        notices=sum(each.outcome.notice for each in history.sent),
        coze_calls=max(history.asked.values(), default=0),
    )


def _logged_once(history: History) -> Iterator[str]:
    sent = Counter((each.openid, each.text) for each in history.sent)
    certain = Counter((each.openid, each.text) for each in history.sent if not each.unheard)
    logged: Counter[Saying] = Counter((each.user_id, each.question) for each in history.exchanges)
    for saying in sorted({*sent, *logged}):
        if logged[saying] > sent[saying]:
            yield f"{_words(saying)}: sent {sent[saying]} times and logged {logged[saying]} times"
        elif logged[saying] < certain[saying]:
            yield f"{_words(saying)}: acknowledged {certain[saying]} times and logged {logged[saying]} times"


def _answered(history: History) -> Iterator[str]:
    for each in history.exchanges:
        if each.status not in FINAL:
            age = history.now_ms - each.created_ms
            if age > UNFINISHED_MS:
                yield f"exchange {each.id} has been {each.status} for {age // 1000} s"
        elif not each.answer:
            yield f"exchange {each.id} ended without an answer"
        elif each.source == "coze" and not each.error_code and _plain(each.question) not in each.answer:
            yield f"exchange {each.id} has the answer to another question"
        elif each.source == "system" and not each.error_code:
            yield f"exchange {each.id} has an apology without a reason"


def _transcribed_once(history: History) -> Iterator[str]:
    said = Counter((each.exchange_id, each.role) for each in history.lines)
    for each in history.exchanges:
        for role, wanted in (("user", 1), ("assistant", int(each.status in FINAL))):
            if said[each.id, role] != wanted:
                yield f"exchange {each.id} has {said[each.id, role]} lines of the {role} in its transcript"


def _lost(history: History) -> Iterator[str]:
    for openid, answer, wanted in _expected(history):
        excused = sum(
            each.id in history.doubted | history.cut
            for each in history.answers()
            if each.user_id == openid and each.answer == answer
        )
        if history.times_seen(openid, answer)[0] < wanted - excused:
            yield _miscounted(history, openid, answer, wanted)


def _duplicated(history: History) -> Iterator[str]:
    for openid, answer, wanted in _expected(history):
        if history.times_seen(openid, answer)[1] > wanted:
            yield _miscounted(history, openid, answer, wanted)


def _explained(history: History) -> Iterator[str]:
    """What was sent by nobody knows whom is on the list that people look at, and nothing else is."""
    for each in history.exchanges:
        if each.status == "undelivered" and each.id not in history.doubted:
            yield f"exchange {each.id} was given up: {each.delivery_error}"
    for job in history.jobs:
        brought = job.status == "failed" and job.exchange_id in history.brought
        if job.status not in {"done", "in_doubt"} and not brought:
            yield f"job {job.id} is {job.status}: {job.error}"


def _nothing_else_said(history: History) -> Iterator[str]:
    texts = history.texts
    fillers = (
        texts.thinking.partition("{")[0],
        texts.still_thinking,
        texts.on_its_way,
        texts.nothing_to_continue,
    )
    for openid, bubbles in history.seen.items():
        known = [*fillers, *(part for answer in history.expected.get(openid, ()) for part in parts(answer))]
        for bubble in bubbles:
            if not any(each in bubble.text for each in known):
                yield f"{openid} saw {bubble.text[:40]!r}, which is nobody's answer"


def _asked_seldom(history: History) -> Iterator[str]:
    for question, calls in history.asked.items():
        # a message that was sent twice may be asked twice
        said = max(1, sum(_plain(each.text) == question for each in history.sent))
        if calls > said * min(COZE_CALLS, 1 + history.faults):
            yield f"Coze was asked {question[:40]!r} {calls} times, with {history.faults} faults"


def _noticed_seldom(history: History) -> Iterator[str]:
    for each in history.sent:
        if each.outcome.notice and not (each.unheard and history.faults):
            yield f"{each.openid} was shown the failure notice: {each.outcome.problem}"
        if not (history.holds or history.faults) and any(one.rule is Rule.LATE for one in each.outcome.tries):
            yield f"{each.openid} was left waiting until WeChat hung up"


RULES = (
    _logged_once,
    _answered,
    _transcribed_once,
    _lost,
    _duplicated,
    _explained,
    _nothing_else_said,
    _asked_seldom,
    _noticed_seldom,
)


def parts(answer: str) -> list[str]:
    """What of an answer is to be seen: all at once, or of a long one its beginning and each passage."""
    if not (found := PASSAGE.findall(answer)):
        return [answer] if answer else []
    return [beginning, *found] if (beginning := answer.partition("〔")[0]) else found


def _plain(text: str) -> str:
    return read_directives(text)[0]


def _words(saying: Saying) -> str:
    return f"{saying[1]!r} of {saying[0]}"


def _expected(history: History) -> Iterator[tuple[Person, str, int]]:
    for openid, answers in history.expected.items():
        for answer, wanted in answers.items():
            yield openid, answer, wanted


def _miscounted(history: History, openid: Person, answer: str, wanted: int) -> str:
    states = ", ".join(
        f"exchange {each.id} is {each.status} ({each.delivery or each.later or each.delivery_error})"
        for each in history.answers()
        if each.user_id == openid and each.answer == answer
    )
    least, most = history.times_seen(openid, answer)
    seen = str(least) if least == most else f"in parts {least} to {most}"
    return f"{openid} saw {answer[:40]!r} {seen} times, not {wanted}: {states}"
