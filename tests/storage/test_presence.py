"""Room for sessions, and who is there, on every engine."""

from __future__ import annotations

from functools import partial

import pytest

from errors import Conflict, NotFound
from handler.handoff import Escalation, Person
from storage.agent_events import AgentEvents
from storage.agents import Agents
from storage.audit import By
from storage.db import Database
from storage.handoff_requests import HandoffRequests
from storage.handoffs import Handoffs
from storage.presence import Presence
from storage.sessions import Sessions
from support.agent import Role
from tests.race import at_once

BY = By("test")


def account(db: Database, username: str, room: int, role: Role = "agent") -> Person:
    made = Agents(db).add(
        BY, username=username, name=username.title(), role=role, password_hash="-", max_sessions=room
    )
    return Person(made.id, made.username, made.name)


def waiting(db: Database, name: str) -> int:
    number = Sessions(db).ensure("web", "default", name, name)
    Handoffs(db).escalate(number, Escalation(), actor="customer", limit=100, line="")
    return number


def test_of_sessions_taken_at_once_an_agent_has_no_more_than_there_is_room(db: Database) -> None:
    wang, handoffs = account(db, "wang", 3), Handoffs(db)
    numbers = [waiting(db, f"v{place}") for place in range(8)]

    def take(number: int) -> str:
        try:
            handoffs.take(number, wang, "")
        except Conflict as problem:
            return problem.message
        return "taken"

    outcomes = at_once([partial(take, each) for each in numbers])
    assert outcomes.count("taken") == 3
    assert outcomes.count("AT_CAPACITY: Wang has 3 of 3 sessions") == 5
    assert len(handoffs.with_status("manual_live")) == 3
    assert len(handoffs.with_status("pending_manual")) == 5


def test_taking_accepting_being_given_and_being_kept_all_need_room(db: Database) -> None:
    wang, li, handoffs = account(db, "wang", 5), account(db, "li", 1), Handoffs(db)
    requests = HandoffRequests(handoffs)
    first, second, third = (waiting(db, f"v{place}") for place in range(3))
    handoffs.take(first, li, "")
    handoffs.take(second, wang, "")
    asked = requests.ask(second, "wang", li, "r", "", anybodys=False)
    before = AgentEvents(db).newest()
    with pytest.raises(Conflict, match="AT_CAPACITY"):
        requests.respond(asked.id, li, True, "")
    with pytest.raises(Conflict, match="AT_CAPACITY"):
        requests.reassign(second, "chen", li, "", "")
    with pytest.raises(Conflict, match="AT_CAPACITY"):
        handoffs.assign(third, li)
    assert AgentEvents(db).newest() == before, "what did not happen was told"
    handoffs.release(first, "li", "", reason="r", to="bot_active", ask=False)
    assert requests.respond(asked.id, li, True, "").status == "accepted"


def test_two_that_take_and_go_offline_at_once_wait_for_each_other_and_end(db: Database) -> None:
    wang, agents, handoffs = account(db, "wang", 100), Agents(db), Handoffs(db)
    found = agents.get("wang")
    assert found is not None
    agent = found.agent
    for race in range(20):
        number = waiting(db, f"v{race}")
        at_once(
            [
                lambda number=number: handoffs.take(number, wang, ""),  # type: ignore[misc]
                lambda: agents.set_status(BY, agent, "offline"),
                lambda: agents.set_status(BY, agent, "busy"),
            ]
        )
    assert len(handoffs.with_status("manual_live")) == 20


def test_a_colleague_serves_customers(db: Database) -> None:
    presence = Presence(db)
    account(db, "gu", 5, "guest")
    wang = account(db, "wang", 5)
    assert presence.colleague("Wang") == wang
    for username in ("gu", "nobody"):
        with pytest.raises(NotFound):
            presence.colleague(username)
    Agents(db).change(BY, "wang", {"enabled": False})
    with pytest.raises(NotFound):
        presence.colleague("wang")
    assert not presence.is_there("wang", 10**15)
