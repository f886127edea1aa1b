"""Where a dialogue stands when a message of it is claimed: told by the claim, or else looked for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from handler.handoff import Escalation
from handler.message import InboundMessage, Reply
from storage.claim_statement import CLAIM, CLAIMED
from storage.customers import Customers
from storage.db import Database, now_ms
from storage.deliveries import Deliveries
from storage.exchange_rows import Claim, Timing, Wanted, claimed
from storage.exchange_sets import ExchangeSets
from storage.exchanges import Exchanges
from storage.handoffs import Handoffs
from storage.sessions import Sessions
from storage.set_rows import as_json
from storage.standing import Standing
from tests.engines import on_postgresql

LEASE = 60_000
HELLO = InboundMessage("wechat", "default", "oUser", "1", "你好", request_id="trace-1")
TIMING = Timing(1, 2)


@pytest.fixture
def exchanges(db: Database) -> Exchanges:
    return Exchanges(db)


def claim(exchanges: Exchanges, key: str, message: InboundMessage = HELLO) -> Claim:
    found = exchanges.claim(replace(message, dedupe_key=key), "me", LEASE)
    assert found.won
    return found


def told(exchanges: Exchanges, found: Claim) -> Standing:
    """What the claim told, which is what a look finds; only the look where the claim cannot tell."""
    looked = exchanges.standing(found.exchange)
    if exchanges.db.dialect not in ("sqlite", "postgresql"):
        assert found.standing is None
        return looked
    assert found.standing is not None
    assert found.standing[1:] == looked[1:]
    own, other = found.standing.dialogue, looked.dialogue
    assert own is not None
    assert other is not None
    for column in ("id", "platform", "user_id", "session_key", "conversation_id", "conversation_owner"):
        assert getattr(own, column) == getattr(other, column), column
    return found.standing


def test_the_first_message_of_a_dialogue_is_alone(exchanges: Exchanges) -> None:
    standing = told(exchanges, claim(exchanges, "1"))
    assert standing.alone
    assert standing.handoff is None
    assert standing.met_until_ms == 0


def test_what_is_not_answered_is_ahead_and_what_nobody_was_given_waits(exchanges: Exchanges) -> None:
    first = claim(exchanges, "1").exchange.id
    second = claim(exchanges, "2")
    standing = told(exchanges, second)
    assert (standing.ahead, standing.waiting, standing.alone) == (1, 0, False)
    exchanges.answer(first, "me", Reply("a", "coze"), TIMING)
    third = claim(exchanges, "3")
    standing = told(exchanges, third)
    assert (standing.ahead, standing.waiting, standing.alone) == (1, 1, False)
    Deliveries(exchanges.db).deliver(first, "passive")
    for each in (second, third):
        exchanges.answer(each.exchange.id, "me", Reply("b", "coze"), TIMING, "passive")
    assert told(exchanges, claim(exchanges, "4")).alone


def test_other_dialogues_do_not_count(exchanges: Exchanges) -> None:
    claim(exchanges, "1", replace(HELLO, user="oOther"))
    claim(exchanges, "2", replace(HELLO, session="another"))
    assert told(exchanges, claim(exchanges, "3")).alone


def test_the_conversation_is_told(exchanges: Exchanges) -> None:
    dialogue = claim(exchanges, "1").exchange.session_id
    Sessions(exchanges.db).remember(dialogue, "conversation", "pat")
    standing = told(exchanges, claim(exchanges, "2"))
    assert standing.dialogue is not None
    assert standing.dialogue.conversation_id == "conversation"


def test_who_talks_with_a_person_of_the_platform_is_told(exchanges: Exchanges) -> None:
    until = now_ms() + 60_000
    Customers(exchanges.db).met("wechat", "default", "oUser", told_ms=now_ms(), until_ms=until)
    assert told(exchanges, claim(exchanges, "1")).met_until_ms == until
    assert told(exchanges, claim(exchanges, "2")).met_until_ms == until


def test_a_dialogue_of_the_desk_comes_with_its_handoff(exchanges: Exchanges) -> None:
    dialogue = claim(exchanges, "1").exchange.session_id
    Handoffs(exchanges.db).escalate(dialogue, Escalation("manual", ""), actor="customer", limit=9, line="")
    found = claim(exchanges, "2")
    standing = exchanges.standing(found.exchange) if found.standing is None else found.standing
    assert standing.handoff is not None
    assert standing.handoff.status == "pending_manual"


@pytest.mark.parametrize("database_url", on_postgresql, indirect=True)
def test_of_one_set_only_the_first_of_a_dialogue_knows_who_is_ahead(db: Database) -> None:
    messages = [replace(HELLO, dedupe_key=key, user=user) for key, user in ("1a", "2a", "3b")]
    claims = ExchangeSets(db).claim([Wanted(each, "me", LEASE) for each in messages])
    standings = [None if each is None else each.standing for each in claims]
    assert [standing is not None for standing in standings] == [True, False, True]


@pytest.mark.parametrize("database_url", on_postgresql, indirect=True)
def test_a_claim_that_another_one_came_between_does_not_know_who_is_ahead(db: Database) -> None:
    sets = ExchangeSets(db)
    sets.claim([Wanted(HELLO, "me", LEASE)])
    other = claimed(Wanted(replace(HELLO, dedupe_key="2"), "other", LEASE), now_ms())
    rows = as_json(CLAIMED, [{"number": 0, "newest": False, **other}])
    with ThreadPoolExecutor(1) as pool, db.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        assert len(CLAIM.on(connection, {"rows": rows, "now": now_ms()})) == 1
        waiting = pool.submit(sets.claim, [Wanted(replace(HELLO, dedupe_key="3"), "me", LEASE)])
        time.sleep(0.2)
        assert not waiting.done()
        connection.exec_driver_sql("COMMIT")
        (found,) = waiting.result(20)
    assert found is not None
    assert found.won
    assert found.standing is None
    assert Exchanges(db).standing(found.exchange).ahead == 2
