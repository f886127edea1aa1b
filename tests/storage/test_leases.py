"""Who works on an exchange, and who may take over: on every engine, whatever the clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import event, text

from handler.message import InboundMessage, Reply
from storage import exchanges as exchanges_module
from storage import leases as leases_module
from storage.db import Database
from storage.exchange_rows import Note, Timing
from storage.exchanges import Exchanges
from storage.leases import Lease, Leases
from storage.models import Exchange
from tests.race import at_once

MESSAGE = InboundMessage("web", "default", "u", "key", "你好", request_id="trace")
TIMING = Timing(None, 1)
LEASE = 300
HOUR = 3_600_000


@pytest.fixture
def exchanges(db: Database) -> Exchanges:
    return Exchanges(db)


@pytest.fixture
def shift_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets this machine's clock ahead by so many milliseconds, or back."""
    real = leases_module.now_ms

    def shift(milliseconds: int) -> None:
        for module in (leases_module, exchanges_module):
            monkeypatch.setattr(module, "now_ms", lambda: real() + milliseconds)

    return shift


def claimed(exchanges: Exchanges, owner: str = "dead", key: str = "key") -> int:
    return exchanges.claim(replace(MESSAGE, dedupe_key=key), owner, LEASE).exchange.id


def seen(exchanges: Exchanges, number: int) -> Lease:
    row = exchanges.get(number)
    assert row is not None
    return Lease.of(row)


def rescued(leases: Leases, owner: str, seconds: float = 30.0) -> list[Exchange]:
    """What a process gets that looks again and again, as the runner does, until it gets something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if taken := [each for lease in leases.suspects() if (each := leases.take_over(lease, owner))]:
            return taken
        time.sleep(0.02)
    return []


def test_a_lease_that_runs_cannot_be_taken_over(exchanges: Exchanges) -> None:
    number = claimed(exchanges)
    leases = Leases(exchanges.db, 60_000)
    assert leases.suspects() == []
    assert leases.take_over(seen(exchanges, number), "me") is None


def test_an_expired_lease_is_taken_over_when_nobody_renews_it(exchanges: Exchanges) -> None:
    number = claimed(exchanges)
    [taken] = rescued(Leases(exchanges.db, LEASE), "me")
    assert (taken.id, taken.owner) == (number, "me")
    assert taken.lease_ms > taken.created_ms + LEASE


def test_of_many_that_take_over_one_wins(exchanges: Exchanges) -> None:
    claimed(exchanges)
    time.sleep(LEASE / 1000)
    rivals = [Leases(exchanges.db, LEASE) for _ in range(12)]
    for each in rivals:
        [lease] = each.suspects()
        assert each.take_over(lease, "first look") is None
    time.sleep(LEASE / 1000)
    taken = at_once([partial(each.take_over, lease, f"rival-{n}") for n, each in enumerate(rivals)])
    assert [bool(each) for each in taken].count(True) == 1


def test_the_former_owner_can_change_nothing_any_more(exchanges: Exchanges) -> None:
    number = claimed(exchanges)
    leases = Leases(exchanges.db, LEASE)
    assert rescued(leases, "me")
    assert not exchanges.call_begins(number, "dead")
    exchanges.named([Note(number, "dead", 0, "conversation", "chat", "log")])
    assert not exchanges.answer(number, "dead", Reply("old", "coze"), TIMING)
    assert leases.renew("dead", [number]) == 0
    assert leases.hand_over("dead") == 0
    assert exchanges.answer(number, "me", Reply("new", "coze"), TIMING)
    found = exchanges.get(number)
    assert found is not None
    assert (found.chat_id, found.answer) == (None, "new")


def test_an_answer_and_a_take_over_at_once_have_one_winner(exchanges: Exchanges) -> None:
    for round_number in range(8):
        number = claimed(exchanges, key=str(round_number))
        Leases(exchanges.db).hand_over("dead")
        lease = seen(exchanges, number)
        answered, taken = at_once(
            [
                lambda number=number: exchanges.answer(number, "dead", Reply("x", "coze"), TIMING),
                partial(Leases(exchanges.db).take_over, lease, "me"),
            ]
        )
        assert bool(answered) != bool(taken)
        exchanges.answer(number, "me", Reply("y", "coze"), TIMING)


def test_only_what_is_named_is_renewed(exchanges: Exchanges) -> None:
    mine, orphan = claimed(exchanges, "me", "1"), claimed(exchanges, "me", "2")
    theirs = claimed(exchanges, "them", "3")
    leases = Leases(exchanges.db, 60_000)
    assert leases.renew("me", [mine, theirs, 404]) == 1
    assert leases.renew("me", []) == 0
    until = [seen(exchanges, number).lease_ms for number in (mine, orphan, theirs)]
    assert until[0] > until[1] + 50_000
    assert abs(until[1] - until[2]) < 10_000


def test_more_than_one_statement_takes_can_be_renewed(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases_module, "AT_ONCE", 2)
    numbers = [claimed(exchanges, "me", str(n)) for n in range(5)]
    leases = Leases(exchanges.db, 60_000)
    assert leases.renew("me", numbers) == 5
    assert leases.hand_over("me") == 5


def test_what_is_handed_over_need_not_be_watched(exchanges: Exchanges) -> None:
    number, other = claimed(exchanges, "leaving", "1"), claimed(exchanges, "staying", "2")
    leases = Leases(exchanges.db, 60_000)
    assert leases.hand_over("leaving") == 1
    [lease] = leases.suspects()
    assert lease.exchange_id == number
    assert leases.take_over(lease, "me") is not None
    assert seen(exchanges, other).owner == "staying"


def test_what_is_answered_has_no_lease(exchanges: Exchanges) -> None:
    number = claimed(exchanges)
    lease = seen(exchanges, number)
    exchanges.answer(number, "dead", Reply("x", "coze"), TIMING)
    assert rescued(Leases(exchanges.db, LEASE), "me", 1.0) == []
    assert Leases(exchanges.db).take_over(lease._replace(lease_ms=0), "me") is None


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "back"])
def test_when_the_clock_jumps_a_live_owner_keeps_its_exchange(
    exchanges: Exchanges, shift_clock: Callable[[int], None], jump: int
) -> None:
    number = claimed(exchanges, "alive")
    holder, watcher = Leases(exchanges.db, LEASE), Leases(exchanges.db, LEASE)
    shift_clock(jump)
    deadline = time.monotonic() + 4 * LEASE / 1000
    while time.monotonic() < deadline:
        assert [lease for lease in watcher.suspects() if watcher.take_over(lease, "me")] == []
        holder.renew("alive", [number])
        time.sleep(holder.renew_seconds / 4)
    assert seen(exchanges, number).owner == "alive"


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "back"])
def test_when_the_clock_jumps_a_dead_owner_is_still_replaced(
    exchanges: Exchanges, shift_clock: Callable[[int], None], jump: int
) -> None:
    number = claimed(exchanges)
    shift_clock(jump)
    [taken] = rescued(Leases(exchanges.db, LEASE), "me")
    assert taken.id == number


@pytest.mark.parametrize("skew", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_host_whose_clock_is_wrong_takes_nothing_from_the_living(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch, skew: int
) -> None:
    number = claimed(exchanges, "alive")
    holder, odd = Leases(exchanges.db, LEASE), Leases(exchanges.db, LEASE)
    real = leases_module.now_ms
    deadline = time.monotonic() + 4 * LEASE / 1000
    while time.monotonic() < deadline:
        holder.renew("alive", [number])
        monkeypatch.setattr(leases_module, "now_ms", lambda: real() + skew)
        assert [lease for lease in odd.suspects() if odd.take_over(lease, "odd")] == []
        monkeypatch.setattr(leases_module, "now_ms", real)
        time.sleep(holder.renew_seconds / 4)
    assert seen(exchanges, number).owner == "alive"


def test_the_search_for_the_dead_does_not_read_the_whole_log(exchanges: Exchanges) -> None:
    db = exchanges.db
    if db.dialect != "sqlite":
        return  # the servers' planners know how rare an unfinished exchange is
    claimed(exchanges)
    with db.write() as session:
        # a log of a million rows in three states, as ANALYZE would describe it
        session.execute(text("ANALYZE"))
        session.execute(text("DELETE FROM sqlite_stat1 WHERE tbl = 'exchanges'"))
        stat = "INSERT INTO sqlite_stat1 VALUES ('exchanges', :index, :numbers)"
        for index, numbers in (("ix_exchanges_status_time", "1000000 333333 1 1"), (None, "1000000")):
            session.execute(text(stat), {"index": index, "numbers": numbers})
    db.engine.dispose()
    asked: list[tuple[str, object]] = []
    event.listen(db.engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    Leases(db).suspects()
    Leases(db).hand_over("nobody")
    exchanges.unfinished()
    searches = [each for each in asked if each[0].startswith("SELECT")]
    assert len(searches) == 3
    with db.engine.connect() as connection:
        for sql, parameters in searches:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, parameters).all()
            assert "ix_exchanges_status_time (status=?" in plan[0][-1], (sql, plan)
