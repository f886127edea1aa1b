"""What the desk does by itself: assigning, taking back, closing, sending home."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handler.handoff import Person
from handler.queue_life import QueueLife
from storage.db import now_ms
from tests.support.conftest import World
from texts import Texts

texts = Texts()
LI = Person(2, "li", "小李")


@pytest.fixture
def life(world: World) -> QueueLife:
    return QueueLife(world.yingda.desk.desk, world.yingda.settings)


def later(life: QueueLife, seconds: float) -> None:
    handoffs = life.desk.handoffs
    handoffs.clock = lambda: now_ms() + round(seconds * 1000)
    life.desk.queue.clock = handoffs.clock


def test_a_session_is_kept_for_its_agent_for_a_while(world: World, life: QueueLife) -> None:
    world.ask("转人工")
    assert life() == 0
    life.desk.assign = lambda waiting: LI
    assert (life(), life()) == (1, 0)
    assert world.session("v1")["assigned_agent"] == {"id": "li", "name": "小李"}
    assert world.refused("POST", "/api/sessions/v1/takeover", "wang") == (409, "ASSIGNED_TO_OTHER: 小李")
    life.desk.assign = lambda waiting: None
    later(life, 119)
    assert life() == 0
    later(life, 121)
    assert life() == 1
    world.post("/api/sessions/v1/takeover", "wang")


def test_an_agent_who_is_not_there_loses_what_was_kept_at_once(world: World, life: QueueLife) -> None:
    world.ask("转人工")
    life.desk.assign = lambda waiting: LI
    life()
    life.desk.assign, life.desk.is_there = lambda waiting: None, lambda username, acted_ms: False
    assert life() == 1
    assert world.session("v1")["assigned_agent"] is None


def test_a_silent_agent_loses_the_session_back_to_the_queue(world: World, life: QueueLife) -> None:
    world.ask("转人工")
    world.post("/api/sessions/v1/takeover", "wang")
    later(life, 700)
    # the customer has said nothing since: nobody is waiting for an answer
    assert life() == 0
    life.desk.handoffs.clock = now_ms
    world.ask("在吗")
    later(life, 599)
    assert life() == 0
    later(life, 601)
    assert (life(), life()) == (1, 0)
    assert world.session("v1")["status"] == "pending_manual"
    assert world.history("v1")[-1] == ("system", texts.back_in_queue)
    assert world.call("POST", "/api/sessions/v1/takeover", "li").status_code == 200


def test_an_agent_who_went_away_loses_the_session_at_once(world: World, life: QueueLife) -> None:
    world.ask("转人工")
    world.post("/api/sessions/v1/takeover", "wang")
    life.desk.is_there = lambda username, acted_ms: username != "wang"
    later(life, 1)
    assert life() == 1
    assert world.session("v1")["status"] == "pending_manual"


def test_an_idle_customer_is_told_and_comes_back_to_the_bot(world: World, life: QueueLife) -> None:
    world.ask("转人工")
    world.post("/api/sessions/v1/takeover", "wang")
    world.say("v1", "还在吗")
    later(life, 1799)
    assert life() == 0
    later(life, 1801)
    assert (life(), life()) == (1, 0)
    assert world.session("v1")["status"] == "closed"
    assert world.history("v1")[-1] == ("system", texts.session_idle)
    world.run_jobs()
    assert world.ask("你好").json()["success"] is True
    assert world.session("v1")["status"] == "bot_active"


def test_who_still_waits_when_the_shift_ends_is_told(
    open_world: Callable[..., World], world: World, life: QueueLife
) -> None:
    world.ask("转人工")
    life.desk.hours = type(life.desk.hours)("09:00", "18:00", "Asia/Shanghai", True)
    life.desk.clock = lambda: 1_795_000_000.0  # a Wednesday night
    assert not life.desk.hours.open_at(life.desk.clock())
    assert (life(), life()) == (1, 0)
    assert world.session("v1")["status"] == "after_hours_email"
    assert world.history("v1")[-1][1].startswith("人工客服现在不在线，将于")


def test_who_waited_for_a_day_keeps_nobody_out(world: World, life: QueueLife) -> None:
    world.ask("转人工")
    later(life, 24 * 3600 - 60)
    assert life() == 0
    later(life, 24 * 3600 + 60)
    assert (life(), life()) == (1, 0)
    assert world.session("v1")["status"] == "bot_active"
    assert world.history("v1")[-1] == ("system", texts.nobody_came)
