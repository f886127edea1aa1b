"""What comes before any answer: a customer who has left, or who is talking with a person."""

from __future__ import annotations

from handler.message import Reply
from handler.work import AWAY_SECONDS, Work
from storage.customers import Customers
from storage.db import now_ms, patiently


class Leaving:
    """Forgets a customer who is gone for good, and has nothing to say about it."""

    def __init__(self, customers: Customers) -> None:
        self.customers = customers

    def respond(self, work: Work) -> Reply | None:
        if work.message.kind != "leave":
            return None
        patiently(lambda: self.customers.erase(work.exchange), AWAY_SECONDS)
        return Reply("", "system")


class WithPerson:
    """Is silent while the platform has the customer with a person; the adapter hands messages on."""

    def respond(self, work: Work) -> Reply | None:
        if work.exchange.chat_id:
            return None  # the bot was asked before the person came
        return Reply("", "agent") if work.standing_now.met_until_ms > now_ms() else None
