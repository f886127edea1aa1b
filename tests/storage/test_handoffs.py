"""Handoffs on every engine: one winner of each race, every step in the audit, nothing lost in the queue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from sqlalchemy import delete, func, select, update

from errors import Conflict, NotFound
from handler.handoff import Escalation, Person, may_become, status_of
from storage.agent_words import AgentWords
from storage.db import Database, now_ms
from storage.events import Events
from storage.handoff_queue import HandoffQueue
from storage.handoff_rows import forget_handoffs
from storage.handoff_tables import Handoff, HandoffStep
from storage.handoffs import Handoffs
from storage.models import Exchange, Job, Message
from storage.sessions import Sessions
from tests.race import at_once

WANG, LI = Person(1, "wang", "小王"), Person(2, "li", "小李")
WHY = Escalation()


@pytest.fixture
def handoffs(db: Database) -> Handoffs:
    return Handoffs(db)


def dialogue(db: Database, user: str = "u", platform: str = "web") -> int:
    return Sessions(db).ensure(platform, "default", user, user)


def escalate(handoffs: Handoffs, number: int, why: Escalation = WHY, limit: int = 10) -> bool:
    return handoffs.escalate(number, why, actor="customer", limit=limit, line="请求人工")[1]


def trail(db: Database, number: int) -> list[tuple[str, str, str, str]]:
    with db.read() as session:
        rows = session.scalars(
            select(HandoffStep).where(HandoffStep.session_id == number).order_by(HandoffStep.id)
        )
        return [(each.actor, each.action, each.from_status, each.to_status) for each in rows]


def test_of_two_agents_exactly_one_takes_a_session_and_the_other_is_told_by_whom(
    db: Database, handoffs: Handoffs
) -> None:
    for race in range(200):
        number = dialogue(db, f"u{race}")
        if race % 2:
            escalate(handoffs, number, limit=1000)

        def take(who: Person, number: int = number) -> str:
            try:
                handoffs.take(number, who, f"{who.name}来了")
            except Conflict as problem:
                return problem.message
            return "won"

        calls: list[Callable[[], str]] = [partial(take, WANG), partial(take, LI)]
        outcomes = at_once(calls)
        assert outcomes.count("won") == 1
        winner = (WANG, LI)[outcomes.index("won")]
        assert f"ALREADY_TAKEN: {winner.name}" in outcomes
        row = handoffs.get(number)
        assert row is not None
        assert (row.status, row.agent_username) == ("manual_live", winner.username)
        assert [step[1] for step in trail(db, number)].count("takeover") == 1
    with db.read() as session:
        assert (
            session.scalar(select(func.count()).select_from(Message).where(Message.text.like("%来了"))) == 200
        )


def test_every_step_of_a_long_life_is_in_the_audit_and_allowed(db: Database, handoffs: Handoffs) -> None:
    number = dialogue(db)
    assert escalate(handoffs, number)
    assert not escalate(handoffs, number)
    handoffs.take(number, WANG, "")
    assert handoffs.requeue(number, now_ms() + 1, "")
    handoffs.take(number, LI, "")
    handoffs.release(number, "li", "", reason="完成", to="closed", ask=False)
    assert escalate(handoffs, number)
    assert handoffs.leave_queue(number, "customer", "")
    handoffs.leave_word(number, WHY, actor="customer", line="", mail_to="")
    assert escalate(handoffs, number)
    steps = trail(db, number)
    assert all(may_become(status_of(a), status_of(b)) for _, _, a, b in steps)
    assert all(before[3] == after[2] for before, after in pairwise(steps))
    assert [each[3] for each in steps] == [
        "pending_manual", "manual_live", "bot_active", "pending_manual", "manual_live", "closed",
        "bot_active", "pending_manual", "bot_active", "after_hours_email", "bot_active", "pending_manual",
    ]  # fmt: skip
    row = handoffs.get(number)
    assert row is not None
    assert row.times == 4


def test_what_is_not_allowed_changes_nothing(db: Database, handoffs: Handoffs) -> None:
    number = dialogue(db)
    with pytest.raises(Conflict, match="INVALID_STATUS: bot_active"):
        handoffs.release(number, "wang", "", reason="", to="bot_active", ask=False)
    handoffs.take(number, WANG, "")
    handoffs.release(number, "wang", "", reason="", to="closed", ask=False)
    with pytest.raises(Conflict, match="INVALID_STATUS: closed"):
        handoffs.take(number, LI, "")
    with pytest.raises(NotFound):
        handoffs.take(number + 1, LI, "")
    before = len(trail(db, number))
    assert not handoffs.requeue(number, now_ms() + 1, "")
    assert not handoffs.leave_queue(number, "customer", "")
    assert len(trail(db, number)) == before


def test_the_queue_is_never_longer_than_allowed_whoever_comes_at_once(
    db: Database, handoffs: Handoffs
) -> None:
    numbers = [dialogue(db, f"u{each}") for each in range(8)]

    def come(number: int) -> bool:
        try:
            return escalate(handoffs, number, limit=3)
        except Conflict:
            return False

    calls: list[Callable[[], bool]] = [partial(come, number) for number in numbers]
    assert at_once(calls).count(True) == 3
    assert len(HandoffQueue(db).waiting()) == 3


def test_who_is_more_urgent_comes_first_and_who_waits_long_is_urgent(
    db: Database, handoffs: Handoffs
) -> None:
    start = now_ms()
    queue = HandoffQueue(db, lambda: start + 60_000)
    whys = {"a": WHY, "b": Escalation(urgent=True), "c": Escalation(vip=True), "d": WHY}
    numbers = {name: dialogue(db, name) for name in whys}
    for place, (name, why) in enumerate(whys.items()):
        handoffs.clock = lambda place=place: start + place  # type: ignore[misc]
        escalate(handoffs, numbers[name], why)
    order = [each.row.session_id for each in queue.waiting()]
    assert order == [numbers[name] for name in "cbad"]
    assert [each.place for each in queue.waiting()] == [1, 2, 3, 4]
    queue.clock = lambda: start + 301_000
    # everybody is overdue: who came first goes first
    assert [each.row.session_id for each in queue.waiting()] == [numbers[name] for name in "abcd"]


def test_an_assigned_session_is_kept_for_its_agent(db: Database, handoffs: Handoffs) -> None:
    number = dialogue(db)
    escalate(handoffs, number)
    assert handoffs.assign(number, WANG)
    with pytest.raises(Conflict, match="ASSIGNED_TO_OTHER: 小王"):
        handoffs.take(number, LI, "")
    minute = 60_000
    assert not handoffs.withdraw(number, now_ms() - minute)
    assert handoffs.withdraw(number, now_ms() + minute)
    handoffs.take(number, LI, "")
    assert not handoffs.assign(number, WANG)


def test_words_belong_to_whoever_has_the_session(db: Database, handoffs: Handoffs) -> None:
    number = dialogue(db)
    words = AgentWords(db, lambda platform: None)
    with pytest.raises(Conflict, match="INVALID_STATUS: bot_active"):
        words.say(number, WANG, "您好")
    handoffs.take(number, WANG, "小王来了")
    with pytest.raises(Conflict, match="ALREADY_TAKEN: 小王"):
        words.say(number, LI, "您好")
    said = words.say(number, WANG, "您好")
    assert words.state(said.message_id).state == "queued"
    events = Events(db).of_dialogue(number, 0)
    assert [each.kind for each in events] == ["status_change", "manual_message"]
    assert events[1].payload["agent_name"] == "小王"
    assert events[0].payload["agent_info"] == {"agent_id": "wang", "agent_name": "小王"}
    words.seen(said.message_id)
    assert words.state(said.message_id).state == "sent"
    with pytest.raises(NotFound):
        words.state(said.message_id + 1)


def test_a_pushed_word_is_one_job_and_can_be_sent_again_after_a_failure(
    db: Database, handoffs: Handoffs
) -> None:
    number = dialogue(db, platform="wechat")
    words = AgentWords(db, lambda platform: "push")
    handoffs.take(number, WANG, "")
    first, second = words.say(number, WANG, "一"), words.say(number, WANG, "二")
    with db.read() as session:
        jobs = session.scalars(select(Job).order_by(Job.id)).all()
        ids = session.scalars(select(Exchange.id).order_by(Exchange.id)).all()
    assert [(job.kind, job.exchange_id) for job in jobs] == [("push", ids[0]), ("push", ids[1])]
    assert (words.is_behind(ids[0]), words.is_behind(ids[1])) == (False, True)
    assert not words.again(first.message_id, number, "wang")
    with db.write() as session:
        for exchange in session.scalars(select(Exchange)):
            exchange.status, exchange.delivery_error = "undelivered", "wechat_45015"
        for job in session.scalars(select(Job)):
            job.status = "failed"
    assert words.state(first.message_id).state == "queued"
    assert words.state(first.message_id).error == "wechat_45015"
    assert words.again(first.message_id, number, "wang")
    assert not words.again(first.message_id, number, "wang")
    assert trail(db, number)[-1][:2] == ("wang", "retry")
    with db.read() as session:
        assert [job.status for job in session.scalars(select(Job).order_by(Job.id))] == ["waiting", "failed"]
    assert words.state(second.message_id).state == "queued"


def test_the_bot_is_told_once_what_was_said_without_it(db: Database, handoffs: Handoffs) -> None:
    number = dialogue(db)
    handoffs.take(number, WANG, "")
    words = AgentWords(db, lambda platform: None)
    said = words.say(number, WANG, "三天内退款")
    row = handoffs.release(number, "wang", "", reason="", to="bot_active", ask=True)
    assert (row.told_until, row.tell_until) == (0, said.message_id)
    with db.read() as session:
        job = session.scalars(select(Job).where(Job.kind == "tell_bot")).one()
    assert job.payload == {"session_id": number, "after": 0, "until": said.message_id}
    assert [each.text for each in handoffs.unheard(number, 0, said.message_id)] == ["三天内退款"]
    handoffs.told(number, said.message_id)
    assert handoffs.rate(number, 5)
    assert not handoffs.rate(number, 1)
    with db.read() as session:
        assert session.scalars(select(Handoff.rating)).one() == 5


def test_what_was_done_to_a_session_is_only_ever_added_to(db: Database, handoffs: Handoffs) -> None:
    number = dialogue(db)
    escalate(handoffs, number, Escalation("keyword", "原话"))
    for statement in (
        update(HandoffStep).values(actor="nobody"),
        update(HandoffStep).values(details={}, action="x"),
        delete(HandoffStep),
    ):
        with pytest.raises(TypeError, match="only ever added"), db.write() as session:
            session.execute(statement)
    handoffs.db.transact(lambda session: forget_handoffs(session, [number]))
    assert trail(db, number) == [
        ("customer", "escalate", "bot_active", "pending_manual"),
        ("customer", "left", "pending_manual", "bot_active"),
    ]
    with db.read() as session:
        assert [each.details for each in session.scalars(select(HandoffStep))] == [{}, {}]
