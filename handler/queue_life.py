"""What the desk does by itself: gives sessions out, takes them back, ends those that nobody goes on with.

A chore of every runner; each change is made only if the session is still as it was seen, so that several
runners do it once.
"""

from __future__ import annotations

import logging

from errors import Conflict
from handler.desk import Desk
from handler.handoff import Escalation, Person, Reason
from settings import Settings
from storage.handoff_tables import Handoff

WAITS_MS = 24 * 3600 * 1000
log = logging.getLogger(__name__)


class QueueLife:
    """One look at everybody who waits or is served."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self.desk = desk
        self.assign_ms = round(settings.desk_assign_seconds * 1000)
        self.silence_ms = round(settings.desk_silence_seconds * 1000)
        self.idle_ms = round(settings.desk_idle_seconds * 1000)

    def __call__(self) -> int:
        """Returns how many sessions were changed."""
        live = self.desk.handoffs.with_status("manual_live")
        return self._waiting() + sum(self._served(each) for each in live)

    def _waiting(self) -> int:
        desk, number = self.desk, 0
        now = desk.handoffs.clock()
        is_open = desk.hours.open_at(desk.clock())
        for each in desk.queue.waiting():
            row = each.row
            if row.agent_username is not None:
                gone = not desk.is_there(row.agent_username, 0)
                number += desk.handoffs.withdraw(row.session_id, now + 1 if gone else now - self.assign_ms)
            elif now - (row.pending_ms or now) > WAITS_MS:
                number += self._given_up(row)
            elif not is_open:
                number += self._sent_home(row)
            elif (who := desk.assign(each)) is not None:
                number += self._assigned(row, who)
        return number

    def _assigned(self, row: Handoff, who: Person) -> bool:
        try:
            return self.desk.handoffs.assign(row.session_id, who)
        except Conflict:
            # the agent has taken another one since we looked
            return False

    def _given_up(self, row: Handoff) -> bool:
        """Nobody came for a day: the customer takes nobody's place any more."""
        left = self.desk.handoffs.leave_queue(row.session_id, "system", "")
        if left:
            self.desk.words.tell(row.session_id, self.desk.texts.nobody_came)
            self.desk.wake()
        return left

    def _sent_home(self, row: Handoff) -> bool:
        """The shift is over: the customer is told when the next one begins, and the desk gets a mail."""
        desk = self.desk
        reason: Reason = row.reason or "manual"  # type: ignore[assignment] # written from a Reason only
        why = Escalation(reason, row.details, row.severity or "medium", row.vip, row.urgent)  # type: ignore[arg-type]
        _, changed = desk.handoffs.leave_word(
            row.session_id, why, actor="system", line="", mail_to=desk.mail_to, waiting=True
        )
        if changed:
            desk.words.tell(row.session_id, desk.closed_words())
            desk.wake()
        return changed

    def _served(self, row: Handoff) -> bool:
        desk, now = self.desk, self.desk.handoffs.clock()
        agent, customer = row.agent_ms or 0, row.customer_ms or 0
        # who speaks through an API key is never seen to come or go
        gone = bool(row.agent_id) and not desk.is_there(row.agent_username or "", agent)
        unanswered = customer > agent and customer < now - self.silence_ms
        if gone or unanswered:
            before = now + 1 if gone else now - self.silence_ms
            if desk.handoffs.requeue(row.session_id, before, ""):
                log.warning("a session lost its agent", extra={"session": row.session_id})
                desk.words.tell(row.session_id, desk.texts.back_in_queue)
                desk.wake()
                return True
            return False
        if max(agent, customer) >= now - self.idle_ms:
            return False
        try:
            desk.close(
                row.session_id, "system", "idle", desk.texts.session_idle, idle_before=now - self.idle_ms
            )
        except Conflict:
            # somebody wrote, or another runner closed it, since we looked
            return False
        return True
