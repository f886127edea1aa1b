"""What an adapter may ask about dialogues themselves; parts.py hands it in with the `Gateway`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from handler.message import Called, Customer, Line, ServiceChat, ServiceSession, ServiceStats


class ServiceSessions(Protocol):
    """Sessions that callers of the session service open; see storage/service_sessions.py.

    A tenant sees its own only. Seconds everywhere. `Unavailable` when the database does not answer.
    """

    def open(
        self,
        tenant: str,
        user: str,
        *,
        bot_id: str,
        earlier: Sequence[Line],
        remembers: bool,
        metadata: Mapping[str, object],
        lifetime: float,
        limit: int,
    ) -> ServiceSession:
        """A new one; `TooManyRequests` when the user has `limit` of them."""
        ...

    def get(self, tenant: str, key: str) -> ServiceSession | None:
        """None when it has ended or never was."""
        ...

    def use(self, tenant: str, key: str, lifetime: float) -> ServiceSession | None:
        """Counts a message, and the session's life begins anew; None as `get`."""
        ...

    def end(self, tenant: str, key: str) -> ServiceSession | None:
        """Terminates it; None as `get`."""
        ...

    def of_user(self, tenant: str, user: str) -> list[ServiceSession]:
        """The newest first."""
        ...

    def chat(self, tenant: str, chat_id: str, lifetime: float) -> ServiceChat | None:
        """One asked in the last `lifetime` seconds."""
        ...

    def chats(self, of: ServiceSession, lifetime: float | None = None) -> list[ServiceChat]:
        """The newest fifty, oldest first; with `lifetime`, those of the last so many seconds."""
        ...

    def fetched(self, exchange_id: int) -> None:
        """A caller came for this answer."""
        ...

    def clean_up(self, tenant: str | None = None) -> int:
        """Forgets the sessions that have ended; returns how many."""
        ...

    def stats(self, tenant: str) -> ServiceStats: ...

    def ping(self) -> None: ...


class Transcripts(Protocol):
    """Dialogues as people read them. `Unavailable` when the database does not answer."""

    def lines(self, who: Customer) -> list[Line]:
        """The newest fifty lines, oldest first; none when there is no such dialogue."""
        ...

    def find(self, candidates: Sequence[Customer]) -> Customer | None:
        """Whichever of the dialogues went on last; None when none of them exists."""
        ...


class Desk(Protocol):
    """The support desk. `Unavailable` when the database does not answer."""

    def escalate(self, who: Customer) -> Called:
        """Asks for a person in the customer's name, who need not have written before."""
        ...

    def serve(self, who: Customer, text: str, key: str = "") -> None:
        """A person's words, of somebody without an account. `Conflict` when another has the dialogue.

        Under a `key` they are said once; `Conflict` when it stands for other words.
        """
        ...

    def go_on(self, exchange_id: int) -> None:
        """The customer has written this: what of an agent's words waited for quota goes out by itself."""
        ...

    def seen(self, message_id: int) -> None:
        """The customer's open page shows this line of an agent's."""
        ...
