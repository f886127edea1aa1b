"""Who answers a dialogue: the bot and everything of ours, unless a person has it or is waited for.

Asked before anything else answers, about once a second while an answer streams, and when it is recorded.
An answer that came too late for the customer is shown to the agents.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from handler.commands import is_command
from handler.desk import Desk
from handler.glances import Glances
from handler.handoff import Escalation
from handler.message import Reply
from handler.regulator import Given
from handler.work import AWAY_SECONDS, Responder, Work
from storage.db import now_ms, patiently
from storage.handoff_tables import Handoff

TELLING_SECONDS = 10.0
"""How long the bot's next answer waits for what a person said to be written into its conversation."""
TOLD_MS = 60_000
"""After a release: later messages do not wait."""
POLL_SECONDS = 0.1
RATING = re.compile(r"\s*([1-5])\s*(?:分|星)?\s*[!！。.]?\s*", re.ASCII)
T = TypeVar("T")
BOT = frozenset({"coze", "fallback", "library"})


class Ownership:
    """Lets the responders behind it answer while the dialogue is the bot's.

    `silent` tells whether a platform can be left without words; on others customers are told that a person
    has their message.
    """

    def __init__(
        self,
        desk: Desk,
        responders: Sequence[Responder],
        queue_words: Collection[str],
        silent: Callable[[str], bool],
        spared: Callable[[Work], bool],
    ) -> None:
        self.desk = desk
        self.responders = responders
        self.queue_words = queue_words
        self.silent = silent
        self.spared = spared
        """Whether the platform itself connects this customer with people, so that we call nobody."""
        self._glances = Glances(lambda dialogues: self._ask(lambda: desk.queue.owned(dialogues)))

    def respond(self, work: Work) -> Reply | None:
        session_id = work.exchange.session_id
        row = work.standing_now.handoff
        if (reply := self._instead(work, row)) is not None:
            return reply
        if not work.exchange.chat_id and not self.spared(work) and work.message.kind == "text":
            why = self.desk.called_by(row, work.message.text, work.message.user)
            if why is not None:
                called = why
                return Reply(self._ask(lambda: self.desk.escalate(session_id, called)).words, "system")
        if row is not None and row.tell_until > row.told_until:
            self._wait_until_told(session_id)
            # which may have begun a conversation
            work.look()
        with self._glances.at(session_id) as work.silenced:
            reply = self._first_of(work)
        if reply is None or reply.source not in {*BOT, "system"}:
            return reply
        # who has the dialogue is seen when the reply is recorded, in one step with it
        work.instead = self._withheld
        return self._judged(work, reply)

    def _first_of(self, work: Work) -> Reply | None:
        for each in self.responders:
            if (reply := each.respond(work)) is not None:
                return reply
        return None

    def _withheld(self, work: Work, reply: Reply) -> Reply:
        """The silence in place of a reply that came when a person had the dialogue."""
        self._ask(lambda: self.desk.words.withhold(work.exchange, reply.text, self.desk.texts.withheld))
        return self._silence(work, self._owner(work.exchange.session_id) or "desk")

    def _instead(self, work: Work, row: Handoff | None) -> Reply | None:
        """What is said instead of the bot's answer; None when the bot may answer."""
        if row is None:
            return None
        session_id, texts = row.session_id, self.desk.texts
        match row.status:
            case "closed":
                self._ask(lambda: self.desk.handoffs.reopen(session_id))
            case "pending_manual":
                self._ask(lambda: self.desk.handoffs.customer_wrote(session_id, work.exchange.id))
                if is_command(work.message, self.queue_words):
                    return Reply(self._ask(lambda: self.desk.place_words(session_id)), "system")
                return self._silence(work, "queue")
            case "manual_live":
                self._ask(lambda: self.desk.handoffs.customer_wrote(session_id, work.exchange.id))
                return self._silence(work, "desk")
            case "after_hours_email" if "@" in (words := work.message.text):
                address = self._ask(lambda: self.desk.noted_email(session_id, words))
                if address and address == words.strip():
                    return Reply(texts.email_noted, "system")
        if row.rating_open and work.message.kind == "text":
            rating = RATING.fullmatch(work.message.text)
            given = int(rating[1]) if rating else None
            if self._ask(lambda: self.desk.handoffs.rate(session_id, given)) and given:
                return Reply(texts.rated, "system")
        return None

    def _silence(self, work: Work, source: str) -> Reply:
        if self.silent(work.message.platform):
            return Reply("", "queue" if source == "queue" else "desk")
        if source == "queue":
            place = self._ask(lambda: self.desk.place(work.exchange.session_id))
            return Reply(self.desk.texts.queued_message.format(place=place), "queue")
        return Reply(self.desk.texts.with_person, "desk")

    def _judged(self, work: Work, reply: Reply) -> Reply:
        """The reply, and with it the offer of a person when the bot has failed too often."""
        if self.spared(work) or work.message.kind == "leave":
            return reply
        latest = Given(reply.text, reply.error, bool(reply.docs))
        session_id = work.exchange.session_id
        why = self._ask(lambda: self.desk.given_up(session_id, latest, work.message.user))
        if why is None or self._owner(session_id) is not None:
            # nobody is called to a dialogue that a person has
            return reply
        found = self._ask(lambda: self.desk.escalate(session_id, why, actor="system"))
        if found.outcome not in {"queued", "after_hours"}:
            return reply
        # we have called the person ourselves, and the reply says so
        work.instead = None
        return replace(reply, text=f"{reply.text}\n\n{found.words}")

    def _wait_until_told(self, session_id: int) -> None:
        deadline = time.monotonic() + TELLING_SECONDS
        while time.monotonic() < deadline:
            row = self._row(session_id)
            # should the job fail for longer, nobody waits for it again and again
            if row is None or row.told_until >= row.tell_until or now_ms() - row.updated_ms > TOLD_MS:
                return
            time.sleep(POLL_SECONDS)

    def _owner(self, session_id: int) -> str | None:
        """The source of the silence that the dialogue is in; None while the bot may speak."""
        row = self._row(session_id)
        if row is None:
            return None
        return {"pending_manual": "queue", "manual_live": "desk"}.get(row.status)

    def _row(self, session_id: int) -> Handoff | None:
        return self._ask(lambda: self.desk.handoffs.get(session_id))

    def _ask(self, step: Callable[[], T]) -> T:
        return patiently(step, AWAY_SECONDS)


class CallHuman:
    """转人工: puts the customer into the queue, or leaves them to the platform's own people."""

    def __init__(self, desk: Desk, words: Collection[str], spared: Callable[[Work], bool]) -> None:
        self.desk = desk
        self.words = words
        self.spared = spared

    def respond(self, work: Work) -> Reply | None:
        if not is_command(work.message, self.words):
            return None
        if self.spared(work):
            # the adapter hands over instead; these words are for a message that it cannot hand over
            return Reply(self.desk.texts.reach_a_person, "command")
        number, vips = work.exchange.session_id, self.desk.rules.vip_users
        why = Escalation("manual", work.message.text.strip(), vip=work.message.user in vips)
        return Reply(patiently(lambda: self.desk.escalate(number, why), AWAY_SECONDS).words, "system")
