"""The desk as platforms see it: by customer, not by number."""

from __future__ import annotations

from handler.desk import Desk
from handler.handoff import Escalation
from handler.message import Called, Customer
from storage.sessions import Sessions


class Front:
    """What an adapter may ask of the desk."""

    def __init__(self, desk: Desk, sessions: Sessions) -> None:
        self.desk = desk
        self.sessions = sessions

    def escalate(self, who: Customer) -> Called:
        """Asks for a person in the customer's name, who need not have written before."""
        number = self.sessions.ensure(who.platform, who.account, who.user, who.session)
        found = self.desk.escalate(number, Escalation("manual", vip=who.user in self.desk.rules.vip_users))
        return Called(found.outcome, found.words, found.place, found.in_shift and self.desk.online)

    def serve(self, who: Customer, text: str, key: str = "") -> None:
        """Words of a person without an account; `Conflict` when another has the dialogue.

        A second call with the same `key` says nothing; `Conflict` when it brings other words.
        """
        self.desk.serve(self.sessions.ensure(who.platform, who.account, who.user, who.session), text, key)

    def go_on(self, exchange_id: int) -> None:
        """The customer has written this: sends what of an agent's words waited for it."""
        if self.desk.words.go_on(exchange_id):
            self.desk.wake()

    def seen(self, message_id: int) -> None:
        """The customer's page shows this line of an agent's."""
        self.desk.words.seen(message_id)
