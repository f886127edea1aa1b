"""Who follows an answer: what the bot tells of it while it is made. Pure."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Who follows an answer while it is made. Any method may raise `coze.errors.Abandoned` to stop it."""

    def calling(self) -> bool:
        """Called before each post of the question; False when it must not be put (again)."""
        ...

    def refused(self) -> None:
        """Called when the conversation was busy: the post just counted began no chat."""
        ...

    def named(self, conversation_id: str, chat_id: str, logid: str, owner: str | None) -> None:
        """Called the moment Coze names the chat; from here on `Bot.resume` can finish it.

        With `owner`, whom the conversation belongs to, the dialogue has to remember it; it does already
        without.
        """
        ...

    def delta(self, text: str) -> None:
        """Called with each next piece of the answer."""
        ...

    def followed(self) -> bool:
        """Whether anybody has begun to read what `delta` tells; until then pieces may come together."""
        ...
