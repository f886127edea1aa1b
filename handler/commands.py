"""Commands: words that customers say to the gateway and not to the bot, on every platform.

A message is a command when it is one of the configured words and nothing else, typed or tapped. What 继续
brings is in continuation.py, what 转人工 does in ownership.py.
"""

from __future__ import annotations

from collections.abc import Collection

from handler.message import InboundMessage, Reply
from handler.turns import Turns
from handler.work import AWAY_SECONDS, Work
from storage.db import patiently
from storage.sessions import Sessions
from texts import Texts


def is_command(message: InboundMessage, words: Collection[str]) -> bool:
    """Whether the message says one of the words, in writing or by a tap on the menu."""
    return message.kind in {"text", "event"} and message.text.strip() in words


class Forget:
    """清除记忆: the dialogue's next question begins a conversation that knows nothing of this one."""

    def __init__(self, sessions: Sessions, turns: Turns, texts: Texts, words: Collection[str]) -> None:
        self.sessions = sessions
        self.turns = turns
        self.texts = texts
        self.words = words

    def respond(self, work: Work) -> Reply | None:
        if not is_command(work.message, self.words):
            return None
        # an answer under way would have the bot remember again
        if (refused := self.turns.wait(work)) is not None:
            return refused
        patiently(lambda: self.sessions.forget(work.exchange.session_id), AWAY_SECONDS)
        return Reply(self.texts.forgotten, "command")
