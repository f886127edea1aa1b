"""Telling the bot what a person and the customer said without it, so that it can go on from there.

A job writes the lines into Coze's conversation, each with a mark. Coze knows no idempotency key, but it shows
what is in the conversation: a job that is done again looks for its marks first, and so writes each line once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from coze.client import CozeClient
from coze.errors import CozeError, Policy
from coze.names import token_of
from coze.records import Said
from errors import NotNow, Undeliverable
from settings import Settings
from storage.handoffs import Handoffs
from storage.models import DialogueSession, Job, Message
from storage.sessions import Sessions

log = logging.getLogger(__name__)

CALL_SECONDS = 20.0
PAGES = 6
"""Pages of a conversation in which marks are looked for: three hundred messages."""
SLACK_SECONDS = 5.0
"""How far Coze's clock may be behind ours."""
LINES = 100
"""Lines of a person's part that the bot is told; the newest, should there be more."""


class Telling:
    """Does the jobs of the kind `tell_bot`."""

    def __init__(
        self, client: CozeClient, handoffs: Handoffs, sessions: Sessions, settings: Settings
    ) -> None:
        self.client = client
        self.handoffs = handoffs
        self.sessions = sessions
        self.settings = settings

    def __call__(self, job: Job, sending: Callable[[], None]) -> None:
        session_id, until = int(job.payload["session_id"]), int(job.payload["until"])
        lines = self.handoffs.unheard(session_id, int(job.payload["after"]), until)[-LINES:]
        try:
            if lines:
                since = job.created_ms / 1000 - SLACK_SECONDS if job.tries > 1 else None
                self._tell(self.sessions.get(session_id), lines, since)
        except LookupError:
            raise Undeliverable("the dialogue was erased") from None
        except CozeError as error:
            if error.policy in {Policy.RETRY, Policy.WAIT} or job.tries < 3:
                raise NotNow(error.name) from error
            self.handoffs.told(session_id, until)
            raise Undeliverable(error.name) from error
        self.handoffs.told(session_id, until)

    def _tell(self, dialogue: DialogueSession, lines: list[Message], since: float | None) -> None:
        """Writes what is not there; `since` is when an earlier try may have begun, None without one."""
        name, owner = token_of(dialogue, self.settings)
        known = dialogue.conversation_id if dialogue.conversation_owner == owner else None
        if known is None:
            made = self.client.create_conversation(
                bot_id=self.settings.coze_bot, session_name=name, deadline=time.monotonic() + CALL_SECONDS
            )
            known = made.id
            self.sessions.remember(dialogue.id, known, owner)
        marks, unmarked = self._written(known, name, since) if since is not None else (set(), Counter())
        for line in lines:
            mark = f"line:{line.id}"
            said = Said(line.text, "user" if line.role == "user" else "assistant")
            if mark in marks:
                continue
            if not marks and unmarked[said.role, said.content]:
                unmarked[said.role, said.content] -= 1
                continue
            deadline = time.monotonic() + CALL_SECONDS
            self.client.create_message(known, said, session_name=name, deadline=deadline, mark=mark)

    def _written(
        self, conversation_id: str, name: str | None, since: float
    ) -> tuple[set[str], Counter[tuple[str, str]]]:
        """The marks in the conversation; and what came into it since, for a server that keeps no marks.

        While a person had the dialogue the bot was not asked: what came in was written by us.
        """
        marks: set[str] = set()
        unmarked: Counter[tuple[str, str]] = Counter()
        after = ""
        for _ in range(PAGES):
            page = self.client.list_conversation(
                conversation_id,
                after_id=after,
                session_name=name,
                deadline=time.monotonic() + CALL_SECONDS,
            )
            marks |= {each.mark for each in page.messages if each.mark}
            unmarked.update(
                (each.role, each.content)
                for each in page.messages
                if not each.mark and each.created_at >= since
            )
            if not page.has_more or not page.last_id:
                break
            after = page.last_id
        return marks, unmarked
