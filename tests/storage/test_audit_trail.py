"""The whole audit in pages: sessions' steps and other entries in one order, none missed and none twice."""

from __future__ import annotations

import itertools

import pytest

from handler.handoff import Escalation
from storage.audit import By, record
from storage.audit_trail import AuditTrail, Kind, Line, Place, Sought, place_of
from storage.db import Database
from storage.handoffs import Handoffs
from storage.sessions import Sessions

BOTH: frozenset[Kind] = frozenset(("desk", "session"))


class World:
    """Things that were done, several in one millisecond."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.db = db
        self.now = 1_000_000
        monkeypatch.setattr("storage.audit.now_ms", lambda: self.now)
        self.handoffs = Handoffs(db, clock=lambda: self.now)
        self.trail = AuditTrail(db)

    def entry(self, action: str, actor: str = "boss", target: str = "") -> None:
        self.db.transact(lambda session: record(session, By(actor), action, target))

    def step(self, user: str) -> int:
        number = Sessions(self.db).ensure("web", "default", user, user)
        self.handoffs.escalate(number, Escalation(), actor="customer", limit=99, line="")
        return number

    def pages(self, sought: Sought, limit: int, kinds: frozenset[Kind] = BOTH) -> list[list[Line]]:
        found: list[list[Line]] = []
        before: Place | None = None
        for _ in itertools.count():
            lines, before = self.trail.page(sought, before, limit, kinds)
            found.append(lines)
            if before is None:
                return found
            assert place_of(str(before)) == before
        raise AssertionError("unreachable")


@pytest.fixture
def world(db: Database, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(db, monkeypatch)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 50])
def test_pages_of_any_length_hold_every_line_once_and_in_order(world: World, limit: int) -> None:
    for number in range(4):
        world.entry("sign_in")
        world.step(f"v{number}")
        world.step(f"w{number}")
        world.entry("sign_out")
        world.now += number % 2
    lines = [line for page in world.pages(Sought(), limit) for line in page]
    assert len({line.place for line in lines}) == len(lines) == 16
    assert [line.place for line in lines] == sorted((line.place for line in lines), reverse=True)
    assert {len(page) for page in world.pages(Sought(), limit)[:-1]} <= {limit}


def test_what_comes_meanwhile_moves_no_page(world: World) -> None:
    for _ in range(4):
        world.entry("sign_in")
    first, before = world.trail.page(Sought(), None, 2, BOTH)
    world.now += 5
    world.entry("later")
    world.step("v")
    second, after = world.trail.page(Sought(), before, 9, BOTH)
    assert [line.action for line in second] == ["sign_in"] * 2
    assert after is None
    assert not {line.place for line in first} & {line.place for line in second}


def test_filters_narrow_both_kinds(world: World) -> None:
    v, w = world.step("v"), world.step("w")
    world.entry("sign_in", "wang")
    world.now += 10
    world.entry("account.changed", "boss", "wang")

    def found(sought: Sought, kinds: frozenset[Kind] = BOTH) -> list[tuple[str, str]]:
        return [(line.actor, line.action) for page in world.pages(sought, 9, kinds) for line in page]

    assert found(Sought(actor="wang")) == [("wang", "sign_in")]
    assert found(Sought(actor="customer")) == [("customer", "escalate")] * 2
    assert found(Sought(action="escalate")) == [("customer", "escalate")] * 2
    assert found(Sought(target="wang")) == [("boss", "account.changed")]
    assert found(Sought(session_id=v)) == [("customer", "escalate")]
    assert found(Sought(session_id=v, target="wang")) == []
    assert found(Sought(start_ms=1_000_010)) == [("boss", "account.changed")]
    assert len(found(Sought(end_ms=1_000_010))) == 3
    assert found(Sought(), frozenset(("session",))) == [("customer", "escalate")] * 2
    assert found(Sought(), frozenset(("desk",))) == [("boss", "account.changed"), ("wang", "sign_in")]
    lines, _ = world.trail.page(Sought(action="escalate"), None, 9, BOTH)
    dialogues = {line.dialogue.id for line in lines if line.dialogue}
    assert (dialogues, {line.change for line in lines}) == ({v, w}, {("bot_active", "pending_manual")})


@pytest.mark.parametrize(
    "written", ["", "1-2-3", "1-0", "x-0-1", "1-0--1", f"{'9' * 30}-0-1", "1-0-1 ", "١-0-1"]
)
def test_what_is_no_place_is_none(written: str) -> None:
    assert place_of(written) is None
