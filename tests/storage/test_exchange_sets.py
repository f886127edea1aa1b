"""Many exchanges in one statement on PostgreSQL: the same outcome as one by one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import func, select, text

from handler.handoff import Escalation
from handler.message import Doc, InboundMessage, Media, Reply, Usage
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchange_rows import Given, Note, Timing, Wanted, reply_of
from storage.exchange_sets import ExchangeSets
from storage.exchanges import Exchanges
from storage.handoffs import Handoffs
from storage.leases import Leases
from storage.library import Draft, Library
from storage.models import DialogueSession, Exchange, Job, Message
from storage.postgres import Prepared
from storage.sessions import Sessions
from storage.set_rows import Columns, as_json
from storage.set_statements import ANSWER, ANSWERED, NOTE, NOTED
from tests.engines import on_postgresql

LEASE = 60_000
HELLO = InboundMessage("wechat", "default", "oUser", "1", "居住证\x00怎么办?\ud800", request_id="trace-1")
TIMING = Timing(120, 900)


# the other engines go step by step
pytestmark = pytest.mark.parametrize("database_url", on_postgresql, indirect=True)


@pytest.fixture
def sets(db: Database) -> ExchangeSets:
    return ExchangeSets(db)


def wanted(key: str, message: InboundMessage = HELLO, owner: str = "me") -> Wanted:
    return Wanted(replace(message, dedupe_key=key), owner, LEASE)


def claim(sets: ExchangeSets, *keys: str) -> list[int]:
    won = sets.claim([wanted(key) for key in keys])
    return [each.exchange.id for each in won if each is not None]


def planned(db: Database, statement: Prepared, rows: str) -> str:
    """How the server carries the statement out, once it has made a plan for any number of rows."""
    with (
        db.engine.connect() as connection,
        psycopg.RawCursor(connection.connection.driver_connection) as cursor,
    ):
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        try:
            cursor.execute(f"PREPARE planned AS {statement.text}")
            values = statement.parameters({"rows": rows, "now": 0})
            words = sql.SQL("EXPLAIN EXECUTE planned({})").format(
                sql.SQL(", ").join(map(sql.Literal, values))
            )
            cursor.execute(words.as_string(connection.connection.driver_connection))
            return "\n".join(row[0] for row in cursor.fetchall())
        finally:
            cursor.execute("DEALLOCATE ALL")
            cursor.execute("RESET plan_cache_mode")


def stored(db: Database, number: int) -> Exchange:
    found = Exchanges(db).get(number)
    assert found is not None
    return found


@pytest.mark.parametrize(("statement", "columns"), [(NOTE, NOTED), (ANSWER, ANSWERED)])
def test_a_set_is_found_by_its_numbers_and_not_by_a_state_that_many_had(
    db: Database, sets: ExchangeSets, statement: Prepared, columns: Columns
) -> None:
    for number in range(40):
        sets.claim([wanted(f"{number}.{each}") for each in range(50)])
    rows = as_json(columns, [{"number": 0, "exchange_id": 7, "owner": "me"}])
    plan = planned(db, statement, rows)
    assert "pk_exchanges" in plan
    assert "ix_exchanges_status_time" not in plan
    assert "Seq Scan on exchanges" not in plan


@pytest.mark.parametrize(("statement", "columns"), [(NOTE, NOTED), (ANSWER, ANSWERED)])
def test_a_set_reads_the_dialogues_that_it_changes_and_no_more(
    db: Database, sets: ExchangeSets, statement: Prepared, columns: Columns
) -> None:
    for number in range(4):
        users = (replace(HELLO, user=f"{number}.{each}") for each in range(50))
        sets.claim([wanted(each.user, each) for each in users])
    with db.write() as session:
        session.execute(text("ANALYZE"))
    plan = planned(db, statement, as_json(columns, [{"number": 0, "exchange_id": 7, "owner": "me"}]))
    assert "pk_sessions" in plan
    assert "Seq Scan on sessions" not in plan


def test_a_set_is_claimed_as_its_messages_would_be_alone(db: Database, sets: ExchangeSets) -> None:
    full = replace(
        HELLO, media=(Media("image", "https://pic.test/1.jpg", "image/jpeg"),), raw={"MsgType": "t\x00ext"}
    )
    alone = Exchanges(db).claim(full, "me", LEASE)
    (together,) = sets.claim([wanted("2", full)])
    assert together is not None
    assert together.won
    assert together.attempt == 1
    one, other = stored(db, alone.exchange.id), stored(db, together.exchange.id)
    own = {"id", "dedupe_key", "created_ms", "lease_ms"}
    for column in set(Exchange.__table__.columns.keys()) - own:
        assert getattr(one, column) == getattr(other, column), column
    assert together.exchange.session_id == alone.exchange.session_id
    lines = Sessions(db).transcript(one.session_id)
    assert [(line.role, line.text, line.exchange_id) for line in lines] == [
        ("user", "居住证怎么办?", one.id),
        ("user", "居住证怎么办?", other.id),
    ]


def test_a_dialogues_messages_are_numbered_as_they_came_and_share_one_row(
    db: Database, sets: ExchangeSets
) -> None:
    numbers = claim(sets, "9", "3", "7", "1")
    assert numbers == sorted(numbers)
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(DialogueSession)) == 1


def test_different_people_get_dialogues_of_their_own(db: Database, sets: ExchangeSets) -> None:
    known = Exchanges(db).claim(HELLO, "me", LEASE).exchange.session_id
    others = [replace(HELLO, user=name) for name in ("oUser", "oA", "oB" * 100)]
    won = sets.claim(
        [wanted(f"new-{n}", each) for n, each in enumerate(others)] + [wanted("again", others[2])]
    )
    found = [each.exchange.session_id for each in won if each is not None]
    assert found[0] == known
    assert found[2] == found[3]
    assert len(set(found)) == 3


def test_a_message_that_came_before_is_left_to_be_joined(db: Database, sets: ExchangeSets) -> None:
    Exchanges(db).claim(replace(HELLO, dedupe_key="old"), "other", LEASE)
    won = sets.claim([wanted("new"), wanted("old"), wanted("new")])
    assert [each is not None for each in won] == [True, False, False]
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Exchange)) == 2
        assert session.scalar(select(func.count()).select_from(Message)) == 2


def test_who_leaves_says_nothing(db: Database, sets: ExchangeSets) -> None:
    (won,) = sets.claim([wanted("bye", replace(HELLO, kind="leave", text=""))])
    assert won is not None
    assert not Sessions(db).transcript(won.exchange.session_id)


def test_notes_change_what_their_owner_still_has(db: Database, sets: ExchangeSets) -> None:
    one, two, lost = claim(sets, "1", "2", "3")
    begun = [Note(one, "me", calls=1), Note(two, "me", calls=1), Note(lost, "somebody else", calls=1)]
    assert sets.note(begun) == [True, True, False]
    named = [Note(two, "me", calls=-1), Note(one, "me", 0, "conversation", "chat", None)]
    assert sets.note(named) == [True, True]
    assert sets.note([Note(one, "me", 0, None, None, "log")]) == [True]
    first, second, third = (stored(db, each) for each in (one, two, lost))
    assert (first.status, first.coze_calls) == ("running", 2)
    assert (first.conversation_id, first.chat_id, first.logid) == ("conversation", "chat", "log")
    assert (second.status, second.coze_calls, second.chat_id) == ("running", 1, None)
    assert (third.status, third.coze_calls) == ("claimed", 1)


def test_answers_are_stored_as_they_would_be_alone(db: Database, sets: ExchangeSets) -> None:
    entry = Library(db).add(Draft(("q",), "a"), "alice").id
    replies = [
        Reply("带上\x00身份证。", "coze", (Doc("1", "办事指南", "…", 0.5),), ("还有？",), Usage(3, 4)),
        Reply("", "desk"),
        Reply("a", "library", library_id=entry),
        Reply("a", "library", library_id=entry, error="coze_5000", truncated=True),
    ]
    alone = claim(sets, *(f"alone-{n}" for n in range(4)))
    for number, reply in zip(alone, replies, strict=True):
        assert Exchanges(db).answer(number, "me", reply, TIMING)
    together = claim(sets, *(f"together-{n}" for n in range(4)))
    given = [Given(number, "me", reply, TIMING) for number, reply in zip(together, replies, strict=True)]
    assert sets.answer(given) == ["answered"] * 4
    for one, other in zip(alone, together, strict=True):
        first, second = stored(db, one), stored(db, other)
        own = {"id", "dedupe_key", "created_ms", "lease_ms", "answered_ms"}
        for column in set(Exchange.__table__.columns.keys()) - own:
            assert getattr(first, column) == getattr(second, column), column
        assert reply_of(first) == reply_of(second)
    lines = Sessions(db).transcript(stored(db, alone[0]).session_id)
    said = [(line.text, line.exchange_id) for line in lines if line.role == "assistant"]
    assert [text for text, number in said if number in alone] == ["带上身份证。", "a", "a"]
    assert [text for text, number in said if number in together] == ["带上身份证。", "a", "a"]
    assert Library(db).get(entry).use.hits == 4


def test_each_dialogue_of_a_set_remembers_its_own_conversation(db: Database, sets: ExchangeSets) -> None:
    users = ["one", "two", "three"]
    won = sets.claim([wanted(each, replace(HELLO, user=each)) for each in users])
    exchanges = [each.exchange for each in won if each is not None]
    # not in the order of the names, nor of the numbers
    late = [Given(each.id, "me", Reply("x", "coze"), TIMING) for each in reversed(exchanges)]
    given = [
        each._replace(conversation_id=f"c-{each.exchange_id}", conversation_owner="pat") for each in late
    ]
    assert sets.answer([given[0], late[1], given[2]]) == ["answered"] * 3
    found = [Sessions(db).get(each.session_id) for each in exchanges]
    assert [each.conversation_owner for each in found] == ["pat", None, "pat"]
    assert found[0].conversation_id == f"c-{exchanges[0].id}"
    assert found[2].conversation_id == f"c-{exchanges[2].id}"


def test_an_answer_counts_once_and_for_its_owner_only(db: Database, sets: ExchangeSets) -> None:
    one, two = claim(sets, "1", "2")
    given = [Given(one, "me", Reply("x", "coze"), TIMING), Given(two, "other", Reply("y", "coze"), TIMING)]
    assert sets.answer(given) == ["answered", None]
    assert sets.answer(given) == [None, None]
    assert stored(db, two).answer is None
    assert [line.text for line in Sessions(db).transcript(stored(db, one).session_id)][2:] == ["x"]


def test_answers_whose_readers_wait_are_delivered_with_their_record(db: Database, sets: ExchangeSets) -> None:
    one, two, three = claim(sets, "1", "2", "3")
    assert Deliveries(db).promise(two, "push")
    given = [Given(each, "me", Reply("x", "coze"), TIMING, "sync") for each in (one, two)]
    assert sets.answer([*given, Given(three, "me", Reply("x", "coze"), TIMING)]) == [
        "delivered",
        "answered",
        "answered",
    ]
    rows = [stored(db, each) for each in (one, two, three)]
    assert [(row.status, row.delivery) for row in rows] == [
        ("delivered", "sync"),
        ("answered", None),
        ("answered", None),
    ]
    assert [row.delivered_ms for row in rows] == [rows[0].answered_ms, None, None]


def test_messages_go_to_the_newest_dialogue_of_their_users(db: Database, sets: ExchangeSets) -> None:
    names = [Sessions(db).begin("wechat", "default", "oUser") for _ in range(2)]
    unnamed = replace(HELLO, newest=True)
    stranger = replace(unnamed, user="oOther")
    messages = [wanted("1", unnamed), wanted("2"), wanted("3", stranger), wanted("4", stranger)]
    claims = [each for each in sets.claim(messages) if each is not None]
    rows = [stored(db, each.exchange.id) for each in claims]
    assert [row.session_key for row in rows] == [names[1], "oUser", "oOther", "oOther"]
    assert [each.exchange.session_key for each in claims] == [row.session_key for row in rows]
    assert len({row.session_id for row in rows}) == 3


def test_an_answer_is_left_out_while_a_person_has_its_dialogue(db: Database, sets: ExchangeSets) -> None:
    guarded, unguarded = claim(sets, "1", "2")
    dialogue = stored(db, guarded).session_id
    Handoffs(db).escalate(dialogue, Escalation("manual", ""), actor="customer", limit=9, line="")
    given = [
        Given(guarded, "me", Reply("x", "coze"), TIMING, unless_owned=True),
        Given(unguarded, "me", Reply("x", "coze"), TIMING),
    ]
    assert sets.answer(given) == [None, "answered"]
    assert stored(db, guarded).status == "claimed"
    assert Exchanges(db).answer(*given[0][:4], unless_owned=True) == "owned"
    assert stored(db, guarded).status == "claimed"


def test_a_promised_answer_has_its_job(db: Database, sets: ExchangeSets) -> None:
    one, two = claim(sets, "1", "2")
    assert Deliveries(db).promise(two, "push")
    sets.answer([Given(each, "me", Reply("x", "coze"), TIMING) for each in (one, two)])
    with db.read() as session:
        (job,) = session.scalars(select(Job))
    assert (job.kind, job.exchange_id, job.status, job.payload, job.tries) == ("push", two, "waiting", {}, 0)
    # the job that the promise itself would write is the same one
    assert Deliveries(db).promise(two, "push")
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1


def test_a_number_that_comes_twice_is_left_to_be_taken_alone(sets: ExchangeSets) -> None:
    (one,) = claim(sets, "1")
    assert sets.note([Note(one, "me", calls=1), Note(one, "me", 0, "conversation")]) == [None, None]


@pytest.mark.parametrize("change", ["note", "answer", "deliver", "renew"])
def test_sets_that_change_the_same_rows_go_one_by_one(db: Database, sets: ExchangeSets, change: str) -> None:
    numbers = claim(sets, "1", "2")
    deliveries, leases = Deliveries(db), Leases(db)
    changes: dict[str, Callable[[], object]] = {
        "note": lambda: sets.note([Note(each, "me") for each in numbers]),
        "answer": lambda: sets.answer([Given(each, "me", Reply("x", "coze"), TIMING) for each in numbers]),
        "deliver": lambda: deliveries._mark_all([(each, "sync") for each in numbers]),
        "renew": lambda: leases.renew("me", numbers),
    }
    with ThreadPoolExecutor(1) as pool:
        with db.in_line():
            waiting = pool.submit(changes[change])
            time.sleep(0.2)
            assert not waiting.done()
        assert waiting.result(20)
