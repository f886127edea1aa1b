"""Coze answers what nobody before it took."""

from __future__ import annotations

from collections.abc import Callable

from coze.bot import Bot
from coze.errors import Abandoned
from handler.message import Reply
from handler.turns import Turns
from handler.work import AWAY_SECONDS, Work
from storage.db import patiently
from storage.exchanges import Exchanges
from storage.models import DialogueSession
from storage.sessions import Sessions
from texts import Texts


class CozeResponder:
    """Asks Coze when the message's turn in its dialogue has come."""

    def __init__(
        self,
        bot: Bot,
        exchanges: Exchanges,
        sessions: Sessions,
        turns: Turns,
        texts: Texts,
        question: Callable[[Work], str],
    ) -> None:
        self.bot = bot
        self.exchanges = exchanges
        self.sessions = sessions
        self.turns = turns
        self.texts = texts
        self.question = question

    def respond(self, work: Work) -> Reply | None:
        exchange = work.exchange
        if exchange.chat_id and exchange.conversation_id:
            # whoever asked is gone, and Coze has the question: fetch the answer, do not ask again
            return self.bot.resume(self._session(work), exchange.conversation_id, exchange.chat_id, sink=work)
        if not work.may_ask:
            return Reply(self.texts.gave_up, "system", error="too_many_calls")
        if (refused := self.turns.wait(work)) is not None:
            return refused
        try:
            return self.bot.ask(
                self._session(work),
                self.question(work),
                request_id=exchange.trace_id,
                sink=work,
                media=work.message.media,
                earlier=work.message.earlier,
                parameters=work.message.parameters,
            )
        except Abandoned:
            # no further call is allowed; or another process has the exchange, whose reply is shown instead
            return Reply(self.texts.gave_up, "system", error="too_many_calls")

    def _session(self, work: Work) -> DialogueSession:
        if work.is_next and work.standing is not None and work.standing.dialogue is not None:
            # nobody was before us, so nobody has changed it since
            return work.standing.dialogue
        return patiently(lambda: self.sessions.get(work.exchange.session_id), AWAY_SECONDS)
