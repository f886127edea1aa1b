"""The claim and every conditional change of an exchange, on every engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from handler.message import Doc, InboundMessage, Reply, Usage
from storage.db import Database, in_transaction
from storage.deliveries import Deliveries
from storage.exchange_rows import Claim, Names, Note, Timing, reply_of
from storage.exchanges import Exchanges
from storage.models import Exchange
from storage.sessions import Sessions

MESSAGE = InboundMessage(
    platform="wechat",
    account="default",
    user="oUser",
    dedupe_key="24593187540",
    text="居住证怎么办?",
    request_id="trace-1",
)
ANSWER = Reply("带上身份证。", "coze")
TIMING = Timing(first_delta=120, total=900)
LEASE = 60_000


@pytest.fixture
def exchanges(db: Database) -> Exchanges:
    return Exchanges(db)


def row(exchanges: Exchanges, claim: Claim) -> Exchange:
    found = exchanges.get(claim.exchange.id)
    assert found is not None
    return found


def test_the_first_delivery_wins_and_retries_join_it(exchanges: Exchanges) -> None:
    first, second, third = (exchanges.claim(MESSAGE, f"owner-{n}", LEASE) for n in range(3))
    assert (first.won, second.won, third.won) == (True, False, False)
    assert (first.attempt, second.attempt, third.attempt) == (1, 2, 3)
    assert first.exchange.id == second.exchange.id == third.exchange.id
    assert row(exchanges, first).owner == "owner-0"


def test_fifty_deliveries_at_once_have_one_winner_and_are_all_counted(exchanges: Exchanges) -> None:
    together = threading.Barrier(50)

    def deliver(number: int) -> Claim:
        together.wait(20)
        return exchanges.claim(MESSAGE, f"owner-{number}", LEASE)

    with ThreadPoolExecutor(50) as pool:
        claims = list(pool.map(deliver, range(50)))
    winners = [claim for claim in claims if claim.won]
    assert len(winners) == 1
    assert {claim.exchange.id for claim in claims} == {winners[0].exchange.id}
    assert sorted(claim.attempt for claim in claims) == list(range(1, 51))
    assert len(Sessions(exchanges.db).transcript(winners[0].exchange.session_id)) == 1


def test_different_messages_of_a_new_user_at_once_share_one_dialogue(exchanges: Exchanges) -> None:
    together = threading.Barrier(12)

    def deliver(number: int) -> Claim:
        together.wait(20)
        return exchanges.claim(replace(MESSAGE, dedupe_key=str(number)), "owner", LEASE)

    with ThreadPoolExecutor(12) as pool:
        claims = list(pool.map(deliver, range(12)))
    assert all(claim.won for claim in claims)
    assert len({claim.exchange.id for claim in claims}) == 12
    assert len({claim.exchange.session_id for claim in claims}) == 1


def test_a_message_without_a_dialogue_goes_to_its_users_newest(exchanges: Exchanges) -> None:
    long = replace(MESSAGE, user="o" * 300, newest=True)
    sessions = Sessions(exchanges.db)
    for message in (replace(MESSAGE, newest=True), long):
        first = exchanges.claim(replace(message, dedupe_key=f"1{message.user}"), "me", LEASE).exchange
        own = exchanges.claim(replace(message, newest=False, dedupe_key=f"2{message.user}"), "me", LEASE)
        assert own.exchange.session_key == first.session_key
        name = [sessions.begin("wechat", "default", message.user) for _ in range(2)][-1]
        later = exchanges.claim(replace(message, dedupe_key=f"3{message.user}"), "me", LEASE)
        assert (later.exchange.session_key, row(exchanges, later).session_key) == (name, name)
        assert sessions.newest("wechat", "default", message.user) == name
        assert later.exchange.session_id != first.session_id


@pytest.mark.parametrize(
    "other",
    [
        replace(MESSAGE, dedupe_key="24593187541"),
        replace(MESSAGE, account="second"),
        replace(MESSAGE, platform="web"),
    ],
    ids=["another id", "another account", "another platform"],
)
def test_messages_that_differ_are_both_answered(exchanges: Exchanges, other: InboundMessage) -> None:
    assert exchanges.claim(MESSAGE, "a", LEASE).won
    assert exchanges.claim(other, "a", LEASE).won


@pytest.mark.parametrize("other", ["ouser", "oUser ", "oUsér", "oUser\u3000"])
def test_user_ids_are_told_apart_byte_by_byte(exchanges: Exchanges, other: str) -> None:
    mine = exchanges.claim(MESSAGE, "a", LEASE)
    theirs = exchanges.claim(replace(MESSAGE, user=other, dedupe_key="other"), "a", LEASE)
    assert mine.exchange.session_id != theirs.exchange.session_id


def test_dedupe_keys_are_told_apart_byte_by_byte(exchanges: Exchanges) -> None:
    keys = ["m", "M", "m ", "ｍ", "m\x00", "m\ud800"]
    assert all(exchanges.claim(replace(MESSAGE, dedupe_key=key), "a", LEASE).won for key in keys)


def test_ids_of_any_length_are_stored_and_stay_different(exchanges: Exchanges) -> None:
    long = "u" * 500
    first = exchanges.claim(replace(MESSAGE, user=long + "1", dedupe_key="1", request_id=long), "a", LEASE)
    second = exchanges.claim(replace(MESSAGE, user=long + "2", dedupe_key="2"), "a", LEASE)
    again = exchanges.claim(replace(MESSAGE, user=long + "1", dedupe_key="3"), "a", LEASE)
    assert first.exchange.session_id == again.exchange.session_id != second.exchange.session_id
    assert len(row(exchanges, first).user_id) == 128


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\x00b", "ab"),
        ("a\ud83db\udc00", "ab"),
        ("👩‍👩‍👧 你好 𠮷", "👩‍👩‍👧 你好 𠮷"),
        ("问" * 100_000, "问" * 100_000),
        ("' OR 1=1 -- \\ % _ :name ?", "' OR 1=1 -- \\ % _ :name ?"),
        ("", ""),
    ],
    ids=["NUL", "lone surrogates", "emoji", "300 kB", "SQL", "empty"],
)
def test_any_text_is_stored_whole_but_for_what_no_database_takes(
    exchanges: Exchanges, text: str, stored: str
) -> None:
    claim = exchanges.claim(replace(MESSAGE, text=text, raw={"Content": text}), "a", LEASE)
    assert exchanges.answer(claim.exchange.id, "a", Reply(text, "coze", suggestions=(text,)), TIMING)
    found = row(exchanges, claim)
    assert (found.question, found.answer) == (stored, stored)
    # an empty answer said nothing, so it adds no line to what was said
    lines = [stored, stored] if stored else [stored]
    assert [line.text for line in Sessions(exchanges.db).transcript(found.session_id)] == lines


def test_json_from_outside_is_stored_whatever_is_in_it(exchanges: Exchanges) -> None:
    raw = {"a\x00\ud800": ["b\ud800", {"c": float("nan")}, 1.5, True, None], "长": "𠮷"}
    claim = exchanges.claim(replace(MESSAGE, raw=raw), "a", LEASE)
    exchanges.answer(claim.exchange.id, "a", Reply("x", "coze", docs=(Doc("d", score=float("inf")),)), TIMING)
    found = row(exchanges, claim)
    assert found.raw == {"a": ["b", {"c": None}, 1.5, True, None], "长": "𠮷"}
    assert found.docs[0]["score"] is None


def test_only_the_owner_answers_and_only_once(exchanges: Exchanges) -> None:
    claim = exchanges.claim(MESSAGE, "a", LEASE)
    number = claim.exchange.id
    assert not exchanges.answer(number, "b", Reply("not mine", "coze"), TIMING)
    assert exchanges.answer(number, "a", ANSWER, TIMING)
    assert not exchanges.answer(number, "a", Reply("again", "coze"), TIMING)
    found = row(exchanges, claim)
    assert (found.status, found.answer, found.owner) == ("answered", ANSWER.text, None)
    lines = Sessions(exchanges.db).transcript(found.session_id)
    assert [(line.role, line.text) for line in lines] == [("user", MESSAGE.text), ("assistant", ANSWER.text)]


def test_an_answer_comes_back_as_it_was_given(exchanges: Exchanges) -> None:
    given = Reply(
        "部分答案",
        "coze",
        docs=(Doc("d1", "指南", "https://example.com/1", "s", 0.87, "text"), Doc("d2")),
        suggestions=("还有呢?",),
        usage=Usage(12, 34),
        error="coze_timeout",
        truncated=True,
    )
    claim = exchanges.claim(MESSAGE, "a", LEASE)
    assert reply_of(row(exchanges, claim)) is None
    exchanges.answer(claim.exchange.id, "a", given, TIMING)
    found = row(exchanges, claim)
    assert reply_of(found) == given
    assert (found.first_delta_ms, found.total_ms) == (120, 900)


def test_an_answer_without_usage_has_none(exchanges: Exchanges) -> None:
    claim = exchanges.claim(MESSAGE, "a", LEASE)
    exchanges.answer(claim.exchange.id, "a", ANSWER, Timing(None, 3))
    assert reply_of(row(exchanges, claim)) == ANSWER


@pytest.mark.parametrize(
    "change",
    [
        lambda exchanges, number, owner: exchanges.call_begins(number, owner),
        lambda exchanges, number, owner: exchanges.call_begins(number, owner, calls=0),
        lambda exchanges, number, owner: exchanges.call_refused(number, owner),
    ],
    ids=["call_begins", "counted_call_begins", "call_refused"],
)
def test_only_the_owner_of_an_unfinished_exchange_moves_it(
    exchanges: Exchanges, change: Callable[[Exchanges, int, str], bool]
) -> None:
    number = exchanges.claim(MESSAGE, "a", LEASE).exchange.id
    assert not change(exchanges, number, "b")
    assert change(exchanges, number, "a")
    assert not change(exchanges, number + 1, "a")
    exchanges.answer(number, "a", ANSWER, TIMING)
    assert not change(exchanges, number, "a")


def test_calls_to_coze_are_counted_and_its_ids_kept(exchanges: Exchanges) -> None:
    claim = exchanges.claim(MESSAGE, "a", LEASE)
    number = claim.exchange.id
    # the first one was counted with the claim
    assert (claim.exchange.status, claim.exchange.coze_calls) == ("claimed", 1)
    exchanges.call_begins(number, "a", calls=0)
    exchanges.named([Note(number, "a", 0, "conversation", None, None)])
    exchanges.named([Note(number, "a", 0, None, "chat", "log"), Note(number + 1, "a", 0, "x", "y", "z")])
    exchanges.call_begins(number, "a")
    found = row(exchanges, claim)
    assert (found.status, found.coze_calls) == ("running", 2)
    assert (found.conversation_id, found.chat_id, found.logid) == ("conversation", "chat", "log")


def test_an_answer_brings_the_chats_names_and_takes_back_what_was_not_called(exchanges: Exchanges) -> None:
    quick, own = (exchanges.claim(replace(MESSAGE, dedupe_key=key), "a", LEASE) for key in "12")
    exchanges.answer(quick.exchange.id, "a", ANSWER, TIMING, names=Names("conversation", "chat", None, None))
    exchanges.answer(own.exchange.id, "a", Reply("九点", "library"), TIMING, uncalled=1)
    found = row(exchanges, quick)
    assert (found.conversation_id, found.chat_id, found.logid) == ("conversation", "chat", None)
    assert found.coze_calls == 1
    found = row(exchanges, own)
    assert (found.coze_calls, found.chat_id) == (0, None)


def memory(exchanges: Exchanges, claim: Claim) -> tuple[str | None, str | None]:
    """What the message's dialogue remembers: a conversation, and whose that is."""
    dialogue = Sessions(exchanges.db).get(claim.exchange.session_id)
    return dialogue.conversation_id, dialogue.conversation_owner


def test_a_dialogue_remembers_its_conversation_with_the_chats_names(exchanges: Exchanges) -> None:
    keys = ("noted", "among others", "answered", "known", "lost")
    noted, other, said, known, lost = (
        exchanges.claim(replace(MESSAGE, user=key, dedupe_key=key), "a", LEASE) for key in keys
    )
    exchanges.named([Note(noted.exchange.id, "a", 0, "c-1", "chat", None, "pat")])
    exchanges.named(
        [
            Note(other.exchange.id, "a", 0, "c-2", "chat", None, "pat"),
            Note(known.exchange.id, "a", 0, "c-3", "chat", None),
            Note(lost.exchange.id, "b", 0, "c-4", "chat", None, "pat"),
        ]
    )
    exchanges.answer(said.exchange.id, "a", ANSWER, TIMING, names=Names("c-5", "chat", None, "pat"))
    exchanges.answer(lost.exchange.id, "b", ANSWER, TIMING, names=Names("c-6", "chat", None, "pat"))
    assert memory(exchanges, noted) == ("c-1", "pat")
    assert memory(exchanges, other) == ("c-2", "pat")
    assert memory(exchanges, said) == ("c-5", "pat")
    assert memory(exchanges, known) == memory(exchanges, lost) == (None, None)
    # a note that was on its way when the answer came changes nothing any more
    exchanges.named([Note(said.exchange.id, "a", 0, "c-7", "chat", None, "pat")])
    assert memory(exchanges, said) == ("c-5", "pat")


def test_messages_of_a_dialogue_are_answered_in_order(exchanges: Exchanges) -> None:
    first, second, third = (
        exchanges.claim(replace(MESSAGE, dedupe_key=str(n)), "a", LEASE).exchange for n in range(3)
    )
    stranger = exchanges.claim(replace(MESSAGE, user="oOther", dedupe_key="x"), "a", LEASE).exchange
    assert [exchanges.ahead(each) for each in (first, second, third, stranger)] == [0, 1, 2, 0]
    exchanges.answer(second.id, "a", ANSWER, TIMING)
    assert exchanges.ahead(third) == 1
    exchanges.answer(first.id, "a", ANSWER, TIMING)
    assert exchanges.ahead(third) == 0


def test_what_waits_is_the_newest_earlier_answer_that_did_not_arrive(exchanges: Exchanges) -> None:
    first, second, third = (
        exchanges.claim(replace(MESSAGE, dedupe_key=str(n)), "a", LEASE).exchange for n in range(3)
    )
    waiting = exchanges.waiting_before(third, since_ms=0)
    assert waiting is not None
    assert waiting.id == second.id
    exchanges.answer(second.id, "a", ANSWER, TIMING)
    Deliveries(exchanges.db).deliver(second.id, "passive")
    waiting = exchanges.waiting_before(third, since_ms=0)
    assert waiting is not None
    assert waiting.id == first.id
    assert exchanges.waiting_before(third, since_ms=first.created_ms + 60_000) is None
    assert exchanges.waiting_before(first, since_ms=0) is None


def test_unfinished_exchanges_are_counted(exchanges: Exchanges) -> None:
    assert exchanges.unfinished() == 0
    claims = [exchanges.claim(replace(MESSAGE, dedupe_key=str(n)), "a", LEASE) for n in range(3)]
    exchanges.answer(claims[0].exchange.id, "a", ANSWER, TIMING)
    assert exchanges.unfinished() == 2


def test_an_unknown_exchange_is_none(exchanges: Exchanges) -> None:
    assert exchanges.get(404) is None


def test_no_transaction_stays_open(exchanges: Exchanges) -> None:
    claim = exchanges.claim(MESSAGE, "a", LEASE)
    exchanges.answer(claim.exchange.id, "a", ANSWER, TIMING)
    assert not in_transaction()
