"""What a message carries besides words, on its way to the bot.

Platforms hand out pictures and recordings by number. They are fetched here, in the background and after the
claim, and what became of them is kept in the row: whoever takes the exchange over need not fetch them again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Protocol

from handler.message import InboundMessage, Reply
from handler.work import Responder, Work

log = logging.getLogger(__name__)


class Resolves(Protocol):
    """What is needed of a platform to turn its media into the bot's."""

    name: ClassVar[str]

    def resolve(self, message: InboundMessage) -> InboundMessage | Reply:
        """The message as the bot can be asked, or the reply when there is nothing to ask."""
        ...


class Resolving(Responder):
    """Has the platform resolve a message's media. A failure leaves the words that describe them."""

    def __init__(self, platforms: Sequence[Resolves]) -> None:
        self.platforms = platforms

    def respond(self, work: Work) -> Reply | None:
        message = work.message
        if work.exchange.chat_id or not message.media:
            return None
        platform = next((each for each in self.platforms if each.name == message.platform), None)
        if platform is None:
            return None
        try:
            found = platform.resolve(message)
        except Exception:
            log.exception("media could not be resolved", extra={"exchange": work.exchange.id})
            found = replace(message, media=())
        if isinstance(found, Reply):
            return found
        if found != message:
            work.resolved(found)
        return None
