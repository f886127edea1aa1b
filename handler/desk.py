"""The desk: what becomes of a customer who wants a person, and who answers a dialogue now."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from errors import Conflict
from handler.contact import email_in
from handler.handoff import Escalation, Person, Status, status_of
from handler.hours import Hours
from handler.message import Picture
from handler.regulator import Given, Rules, asked_for, failures, gave_up
from settings import Settings
from storage.agent_lines import Shown, Spoken
from storage.agent_words import AgentWords
from storage.db import Database
from storage.handoff_queue import HandoffQueue, Waiting
from storage.handoff_requests import HandoffRequests
from storage.handoff_tables import Handoff
from storage.handoffs import CUSTOMER, Handoffs
from storage.models import Exchange
from storage.pictures import new_name
from texts import Texts

log = logging.getLogger(__name__)

SERVICE = Person(0, "service", "")
"""Who speaks through an API key instead of an account."""


@dataclass(frozen=True, slots=True)
class Escalated:
    """What came of asking for a person, and what the customer reads."""

    outcome: Literal["queued", "waiting", "live", "full", "after_hours"]
    status: Status
    words: str
    place: int = 0
    email_sent: bool = False
    in_shift: bool = True


class Desk:
    """One per process. `wake` is called when a job was written."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        texts: Texts,
        ways: Callable[[str], Literal["push", "callback"] | None],
        wake: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.handoffs = Handoffs(db)
        self.words = AgentWords(db, ways)
        self.queue = HandoffQueue(db)
        self.texts = texts
        self.hours = hours_of(settings)
        self.rules = rules_of(settings)
        self.limit = settings.max_queue_length
        self.online = settings.service_status == "online"
        self.asks_rating = settings.desk_rating
        self.mail_to = ",".join(settings.smtp_recipients) if settings.smtp_host else ""
        self.wake = wake
        self.clock = clock
        self.assign: Callable[[Waiting], Person | None] = lambda waiting: None
        """Who is to take a waiting customer; None leaves it to the agents."""
        self.is_there: Callable[[str, int], bool] = lambda username, acted_ms: True
        """Whether an agent can be expected to answer, who last did something here at a unix millisecond."""

    def escalate(self, session_id: int, why: Escalation, actor: str = CUSTOMER) -> Escalated:
        """Asks for a person on a dialogue's behalf. `NotFound` when there is no such dialogue."""
        now = self.clock()
        line = self.texts.bot_gave_up if why.reason == "fail_loop" else self.texts.asked_for_person
        row = self.handoffs.get(session_id)
        held = row is not None and row.status in {"pending_manual", "manual_live"}
        if not held and not self.hours.open_at(now):
            row, fresh = self.handoffs.leave_word(
                session_id, why, actor=actor, line=line, mail_to=self.mail_to
            )
            if status_of(row.status) == "after_hours_email":
                self.wake()
                return Escalated(
                    "after_hours", "after_hours_email", self.closed_words(), 0, bool(row.mail_to), False
                )
        try:
            row, fresh = self.handoffs.escalate(session_id, why, actor=actor, limit=self.limit, line=line)
        except Conflict as problem:
            if problem.message != "QUEUE_FULL":
                raise
            status = status_of(row.status) if row is not None else "bot_active"
            return Escalated("full", status, self.texts.queue_full, in_shift=True)
        if row.status == "manual_live":
            return Escalated("live", "manual_live", self.texts.already_with_person)
        if fresh:
            log.warning("a customer asks for a person", extra={"session": session_id, "reason": why.reason})
        place = self.place(session_id)
        words = self.texts.transferred if self.online else self.texts.transferred_offline
        outcome: Literal["queued", "waiting"] = "queued" if fresh else "waiting"
        return Escalated(outcome, "pending_manual", words.format(place=place), place)

    def place(self, session_id: int) -> int:
        """The customer's place in the queue; 0 when they do not wait."""
        found = self.queue.place(session_id)
        return found.place if found else 0

    def place_words(self, session_id: int) -> str:
        """What a customer reads who asks for their place."""
        found = self.queue.place(session_id)
        if found is None:
            return self.texts.not_in_queue
        minutes = max(1, math.ceil(found.wait_seconds / 60))
        return self.texts.your_place.format(place=found.place, minutes=minutes)

    def closed_words(self) -> str:
        """What a customer reads who asks while nobody is there."""
        opens = self.hours.opens(self.clock())
        if opens is None:
            return self.texts.after_hours_unknown
        return self.texts.after_hours.format(opens=self.hours.in_words(opens))

    def take(self, session_id: int, who: Person) -> Handoff:
        """A person takes the dialogue; raises as `Handoffs.take`."""
        row = self.handoffs.take(session_id, who, self.texts.person_came.format(name=who.name))
        self.wake()
        return row

    def say(self, session_id: int, who: Person, text: str, key: str = "") -> Spoken:
        """A person's words to the customer; raises, and knows a repeated `key`, as `AgentWords.say`."""
        spoken = self.words.say(session_id, who, text, key)
        self.wake()
        return spoken

    def show(self, session_id: int, who: Person, picture: Picture, below: str) -> Spoken:
        """A person's picture, to be fetched `below` this address and its name; else as `say`."""
        name = new_name()
        shown = Shown(name, picture, f"{below}/{name}")
        spoken = self.words.say(session_id, who, self.texts.agent_picture, shown=shown)
        self.wake()
        return spoken

    def serve(self, session_id: int, text: str, key: str = "") -> Spoken:
        """Words that come without an account: takes the dialogue first. `Conflict` when somebody has it.

        Said before under the same `key` they take nothing, and are not said again.
        """
        who = replace(SERVICE, name=self.texts.desk_name)
        if key and (before := self.words.said(session_id, who, text, key)) is not None:
            return before
        if not self._is_served(session_id):
            try:
                self.handoffs.take(session_id, who, "")
            except Conflict:
                # two such lines at once both take it: for the second it is taken already
                if not self._is_served(session_id):
                    raise
        return self.say(session_id, who, text, key)

    def _is_served(self, session_id: int) -> bool:
        row = self.handoffs.get(session_id)
        return row is not None and row.status == "manual_live" and row.agent_username == SERVICE.username

    def release(self, session_id: int, actor: str, reason: str, *, over_all: bool = False) -> Handoff:
        """A person has finished; the bot goes on, knowing what was said.

        `over_all` releases what another has; else that is `Forbidden`.
        """
        line = self.texts.rate_us if self.asks_rating else self.texts.person_left
        row = self.handoffs.release(
            session_id,
            actor,
            "",
            reason=reason,
            to="bot_active",
            ask=self.asks_rating,
            only=None if over_all else actor,
        )
        self.words.tell(session_id, line)
        self.wake()
        return row

    def close(
        self, session_id: int, actor: str, reason: str, words: str, *, idle_before: int | None = None
    ) -> Handoff:
        """Ends a session whose customer is gone, and tells them so; `Conflict` if they wrote since."""
        row = self.handoffs.release(
            session_id, actor, "", reason=reason, to="closed", ask=False, idle_before=idle_before
        )
        self.words.tell(session_id, words)
        self.wake()
        return row

    def noted_email(self, session_id: int, text: str) -> str:
        """Notes the address in the message of a customer who left word after hours; empty without one."""
        address = email_in(text)
        if address and HandoffRequests(self.handoffs).profile(session_id, CUSTOMER, address, left_word=True):
            self.wake()
        return address

    def called_by(self, row: Handoff | None, text: str, user: str) -> Escalation | None:
        """Whether this message calls a person by itself; not again while the last call is open."""
        if row is not None and row.status == "after_hours_email" and not self.hours.open_at(self.clock()):
            return None
        return asked_for(text, user, self.rules, vip=row is not None and row.vip)

    def given_up(self, session_id: int, latest: Given, user: str) -> Escalation | None:
        """Whether the bot has failed so often that a person is called; `latest` is not recorded yet."""
        if not self.rules.threshold or not failures([latest], self.rules):
            return None
        row = self.handoffs.get(session_id)
        if row is not None and row.status == "after_hours_email":
            return None
        earlier = self.queue.latest_answers(session_id, self.rules.threshold * 2)
        return gave_up([latest, *map(given, earlier)], user, self.rules)

    def is_behind(self, exchange_id: int) -> bool:
        """Whether an agent said something before this that is still on its way."""
        return self.words.is_behind(exchange_id)

    def held_up(self, exchange_id: int) -> str:
        """Why an earlier line of an agent's waits for the customer's next message; empty when none does."""
        return self.words.held_up(exchange_id)

    def withholds(self, exchange_id: int) -> bool:
        """Whether a person has the dialogue: then the bot's answer is shown to them and not sent."""
        return self.words.withholds(exchange_id, self.texts.withheld)

    def fail_count(self, session_id: int) -> int:
        """How many answers failed in a row, up to now."""
        return failures(map(given, self.queue.latest_answers(session_id, 20)), self.rules)


def given(exchange: Exchange) -> Given:
    """A recorded answer as the regulator sees it."""
    return Given(exchange.answer or "", exchange.error_code, bool(exchange.docs))


def hours_of(settings: Settings) -> Hours:
    """The shift of these settings."""
    return Hours(
        settings.human_shift_start,
        settings.human_shift_end,
        settings.timezone,
        settings.weekends_disabled,
        settings.holidays,
        settings.working_days,
    )


def rules_of(settings: Settings) -> Rules:
    """The regulator's rules of these settings."""
    return Rules(
        keywords=settings.regulator_keywords,
        urgent=settings.regulator_urgent_keywords,
        threshold=settings.regulator_fail_threshold,
        phrases=settings.regulator_fail_phrases,
        no_recall_fails=settings.regulator_no_recall_fails,
        vip_auto=settings.regulator_vip_auto_escalate,
        vip_users=settings.regulator_vip_users,
    )
