"""What agents see and do among themselves, on every engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select

from errors import Conflict, Forbidden, NotFound
from handler.handoff import Escalation, Person
from handler.message import InboundMessage, Reply
from storage.agent_words import AgentWords
from storage.db import Database
from storage.exchange_rows import Timing
from storage.exchanges import Exchanges
from storage.handoff_queue import HandoffQueue
from storage.handoff_requests import HandoffRequests
from storage.handoff_stats import HandoffStats
from storage.handoff_tables import TransferRequest
from storage.handoff_views import HandoffViews, Sort, Sought
from storage.handoffs import Handoffs
from storage.models import Message
from tests.race import at_once

WANG, LI = Person(1, "wang", "小王"), Person(2, "li", "小李")
SORTS: list[Sort] = ["default", "newest", "oldest", "vip", "waitTime"]


@pytest.fixture
def handoffs(db: Database) -> Handoffs:
    return Handoffs(db)


def asked(db: Database, user: str, text: str, reply: Reply) -> int:
    """A dialogue with one exchange; its id."""
    exchanges = Exchanges(db)
    message = InboundMessage("web", "default", user, f"{user}:{text}", text, request_id="t")
    exchange = exchanges.claim(message, "o", 1000).exchange
    exchanges.answer(exchange.id, "o", reply, Timing(None, 40))
    return exchange.session_id


def waiting(db: Database, handoffs: Handoffs, user: str, why: Escalation | None = None) -> int:
    number = asked(db, user, f"{user}问", Reply("好的", "coze"))
    handoffs.escalate(number, why or Escalation(), actor="customer", limit=99, line="请求人工")
    return number


def test_every_order_and_filter_works(db: Database, handoffs: Handoffs) -> None:
    a, b = waiting(db, handoffs, "a"), waiting(db, handoffs, "b", Escalation(vip=True))
    c = waiting(db, handoffs, "c")
    handoffs.take(c, WANG, "")
    views = HandoffViews(db)

    def ids(**sought: object) -> list[int]:
        rows, total = views.listed(Sought(**sought))  # type: ignore[arg-type]
        assert total >= len(rows)
        return [each.dialogue.id for each in rows]

    for sort in SORTS:
        assert sorted(ids(sort=sort)) == sorted([a, b, c])
    assert ids() == [b, a, c]
    assert ids(vip=True) == [b]
    assert ids(agent="wang") == ids(status="manual_live") == [c]
    assert ids(agent="") == [b, a]
    assert ids(keyword="a问") == [a]
    assert ids(keyword="_") == []
    assert ids(since_ms=2**52) == []
    assert ids(until_ms=1) == []
    assert views.listed(Sought(limit=1, offset=2))[1] == 3
    (last,) = views.listed(Sought(vip=True))[0]
    assert last.last is not None
    assert last.last.text == "请求人工"


def test_a_transcript_tells_who_said_what_and_how_it_fares(db: Database, handoffs: Handoffs) -> None:
    number = waiting(db, handoffs, "a")
    handoffs.take(number, WANG, "小王来了")
    AgentWords(db, lambda platform: "push").say(number, WANG, "您好")
    lines = HandoffViews(db).lines(number)
    assert [(each.role, each.text) for each in lines] == [
        ("user", "a问"),
        ("assistant", "好的"),
        ("system", "请求人工"),
        ("system", "小王来了"),
        ("agent", "您好"),
    ]
    assert lines[-1].agent == {"id": "wang", "name": "小王"}
    assert lines[-1].fate is not None
    assert lines[-1].fate.state == "queued"
    assert [each.text for each in HandoffViews(db).lines(number, 2)] == ["小王来了", "您好"]


def test_the_words_that_say_only_that_a_person_will_answer_are_no_lines(db: Database) -> None:
    number = asked(db, "a", "在吗", Reply("请稍候", "queue"))
    assert [each.role for each in HandoffViews(db).lines(number)] == ["user"]


def test_a_bots_late_answer_is_withheld_while_a_person_has_the_dialogue(
    db: Database, handoffs: Handoffs
) -> None:
    number = asked(db, "a", "问", Reply("迟到的回答", "coze"))
    words = AgentWords(db, lambda platform: "push")
    assert not words.withholds(1, "（未发）{answer}")
    handoffs.take(number, WANG, "")
    assert words.withholds(1, "（未发）{answer}")
    with db.read() as session:
        assert (
            session.scalars(select(Message.text).order_by(Message.id.desc())).first() == "（未发）迟到的回答"
        )


def test_a_request_is_answered_once_and_the_newest_counts(db: Database, handoffs: Handoffs) -> None:
    number, requests = waiting(db, handoffs, "a"), HandoffRequests(handoffs)
    ask = partial(requests.ask, number, "wang", LI, "请帮忙", "", anybodys=False)
    with pytest.raises(Conflict, match="INVALID_STATUS"):
        ask()
    handoffs.take(number, WANG, "")
    with pytest.raises(Forbidden):
        requests.ask(number, "li", LI, "x", "", anybodys=False)
    old, new = ask(), ask()
    with pytest.raises(NotFound):
        requests.respond(new.id, WANG, True, "")
    with pytest.raises(Conflict):
        requests.respond(old.id, LI, True, "")

    def answer(accept: bool) -> str:
        try:
            return requests.respond(new.id, LI, accept, "换人").status
        except Conflict:
            return "late"

    calls: list[Callable[[], str]] = [partial(answer, True), partial(answer, True), partial(answer, True)]
    assert sorted(at_once(calls)) == ["accepted", "late", "late"]
    row = handoffs.get(number)
    assert row is not None
    assert row.agent_username == "li"
    with db.read() as session:
        statuses = session.scalars(select(TransferRequest.status).order_by(TransferRequest.id)).all()
    assert statuses == ["withdrawn", "accepted"]
    assert HandoffViews(db).requests("li") == []


def test_notes_and_tags_are_kept(db: Database, handoffs: Handoffs) -> None:
    number, requests = asked(db, "a", "问", Reply("好", "coze")), HandoffRequests(handoffs)
    requests.note(number, WANG, "注意")
    assert [each.text for each in HandoffViews(db).notes(number)] == ["注意"]
    assert requests.mark(number, "wang", tags=["b", "a", "b"]).tags == ["b", "a"]
    assert requests.mark(number, "wang", vip=True).vip is True
    assert [each.action for each in HandoffViews(db).steps(number)] == ["note", "mark", "mark"]


def test_the_numbers_are_the_same_on_every_engine(db: Database, handoffs: Handoffs) -> None:
    asked(db, "z", "问", Reply("坏了", "system", error="coze_timeout"))
    number = waiting(db, handoffs, "a")
    waiting(db, handoffs, "b", Escalation("keyword"))
    handoffs.take(number, WANG, "")
    handoffs.release(number, "wang", "", reason="", to="bot_active", ask=True)
    handoffs.rate(number, 5)
    stats = HandoffStats(db).now("Asia/Shanghai")
    assert (stats["total_sessions"], stats["pending_manual"], stats["bot_active"]) == (2, 1, 1)
    assert stats["by_escalation_reason"] == {"manual": 1, "keyword": 1}
    assert stats["ai_quality"] == {
        "avg_response_time_ms": 40,
        "success_rate": 0.6667,
        "avg_messages_before_escalation": 1.0,
        "escalation_rate": 0.6667,
    }
    (wang,) = stats["agent_efficiency"]
    assert (wang["agent_id"], wang["sessions"], wang["avg_rating"]) == ("wang", 1, 5.0)
    assert len(HandoffQueue(db).latest_answers(asked(db, "z", "又", Reply("", "coze")), 9)) == 2


def test_whoever_waits_is_sent_home_once(db: Database, handoffs: Handoffs) -> None:
    number = waiting(db, handoffs, "a")

    def go() -> bool:
        return handoffs.leave_word(
            number, Escalation(), actor="system", line="", mail_to="a@example.com", waiting=True
        )[1]

    assert at_once([go, go, go]).count(True) == 1
    row = handoffs.get(number)
    assert row is not None
    assert (row.status, row.times, row.mail_to) == ("after_hours_email", 1, "a@example.com")
    assert [each.session_id for each in handoffs.with_status("after_hours_email")] == [number]
    handoffs.mailed(number)
    row = handoffs.get(number)
    assert row is not None
    assert row.mail_ms is not None
