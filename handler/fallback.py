"""Another model's answer when Coze is away, so that an outage of one provider is none of ours.

It answers only what nobody has begun to answer: once a customer has read a piece from Coze, that answer is
the one. Refusals of content are answers, not outages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing

from coze.breaker import Breaker
from coze.completions import Completions
from coze.errors import Abandoned, CozeError, is_outage
from errors import Unavailable
from handler.message import Reply
from handler.work import Responder, Work
from storage.sessions import Sessions
from texts import Texts

log = logging.getLogger(__name__)

LINES = 20
"""Lines of the dialogue that the other model gets to see."""
BUDGET = 6_000
"""Characters of them; the oldest go first."""
ROLES = {"user": "user", "assistant": "assistant", "agent": "assistant"}


class Fallback:
    """Stands before another responder and speaks up where that one failed because Coze was away."""

    def __init__(
        self,
        first: Responder,
        model: Completions,
        sessions: Sessions,
        texts: Texts,
        question: Callable[[Work], str],
        prompt: str,
        seconds: float,
    ) -> None:
        self.first = first
        self.model = model
        self.sessions = sessions
        self.texts = texts
        self.question = question
        self.prompt = prompt
        self.seconds = seconds
        self.breaker = Breaker(name="fallback")

    def respond(self, work: Work) -> Reply | None:
        reply = self.first.respond(work)
        if reply is None or not reply.error or not is_outage(reply.error):
            return reply
        if work.first_delta_ms is not None or reply.truncated or work.lost:
            return reply
        try:
            return self._answer(work, reply.error)
        except (CozeError, Unavailable) as problem:
            log.warning(
                "the fallback failed, too",
                extra={"exchange": work.exchange.id, "error": _name(problem), "why": problem.message},
            )
            return reply

    def _answer(self, work: Work, cause: str) -> Reply:
        messages = self._messages(work)
        said: list[str] = []
        try:
            with self.breaker.call() as call:
                deadline = time.monotonic() + self.seconds
                with closing(self.model.pieces(messages, call.within(deadline))) as pieces:
                    for piece in pieces:
                        if work.lost:
                            raise Abandoned("the exchange is no longer ours")
                        call.spoke()
                        said.append(piece)
                        work.delta(piece)
        except CozeError as problem:
            if not said:
                raise
            log.warning(
                "the fallback broke off", extra={"exchange": work.exchange.id, "error": _name(problem)}
            )
            rest = f"\n{self.texts.interrupted}"
            work.delta(rest)
            return Reply("".join(said) + rest, "fallback", error=_name(problem), truncated=True)
        log.info("the fallback answered", extra={"exchange": work.exchange.id, "instead_of": cause})
        return Reply("".join(said), "fallback")

    def _messages(self, work: Work) -> list[dict[str, str]]:
        """The system prompt, as much of the dialogue as the budget allows, and the question."""
        question = self.question(work)
        left = BUDGET - len(question)
        earlier: list[dict[str, str]] = []
        for line in reversed(self.sessions.transcript(work.exchange.session_id, LINES)):
            # the question's own line, and those of later messages, are not what was said before
            if line.role not in ROLES or (line.exchange_id or 0) >= work.exchange.id:
                continue
            if (left := left - len(line.text)) < 0:
                break
            earlier.append({"role": ROLES[line.role], "content": line.text})
        system = [{"role": "system", "content": self.prompt}] if self.prompt else []
        return [*system, *reversed(earlier), {"role": "user", "content": question}]


def _name(problem: CozeError | Unavailable) -> str:
    """The cause as the log shows it: `fallback_timeout`, not Coze's."""
    return problem.name.replace("coze_", "fallback_", 1) if isinstance(problem, CozeError) else problem.code
