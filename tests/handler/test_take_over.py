"""A process that dies, stalls or leaves: its exchanges are finished by another, once, and by nobody twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
from sqlalchemy import delete

from errors import Unavailable
from handler import work as work_module
from handler.handler import Handler
from handler.message import Doc, InboundMessage, Reply
from handler.run import FollowedRun, Follows, Run
from handler.work import Work
from storage.db import Database
from storage.exchange_rows import Outcome
from storage.leases import Lease
from storage.models import Exchange, Message
from storage.sessions import Sessions
from texts import Texts

Process = Callable[..., Handler]


class Scripted:
    """Answers with its name when the test says so."""

    def __init__(self, name: str, go: bool = False) -> None:
        self.name = name
        self.asked: list[int] = []
        self.go = threading.Event()
        if go:
            self.go.set()

    def respond(self, work: Work) -> Reply | None:
        self.asked.append(work.exchange.id)
        assert self.go.wait(20)
        return Reply(self.name, "coze")


def message(key: str = "1", user: str = "u") -> InboundMessage:
    return InboundMessage("web", "default", user, key, "你好", request_id="trace")


def stall(handler: Handler) -> mock._patch[mock.Mock]:
    """While it is active the process renews nothing, like one that is frozen or cut off."""
    return mock.patch.object(handler.leases, "renew")


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def row(handler: Handler, number: int) -> Exchange:
    found = handler.exchanges.get(number)
    assert found is not None
    return found


def test_the_rescue_finishes_what_a_dead_process_left_and_nobody_reads(process: Process) -> None:
    number = process().exchanges.claim(message(), "dead", 300).exchange.id
    bot = Scripted("saved", go=True)
    living = process(bot)
    assert living.rescue() == 0, "the lease still runs"
    until(living.rescue)
    until(lambda: row(living, number).status == "answered")
    assert (row(living, number).answer, bot.asked) == ("saved", [number])


def test_a_waiting_reader_takes_over_by_itself(process: Process) -> None:
    process().exchanges.claim(message(), "dead", 300)
    living = process(Scripted("saved", go=True))
    run = living.answer(message())
    assert isinstance(run, FollowedRun)
    assert run.wait(10) == Reply("saved", "coze")


def test_a_live_process_keeps_what_takes_long(process: Process) -> None:
    slow, eager = Scripted("slow"), Scripted("eager", go=True)
    first, second = process(slow), process(eager)
    run = first.answer(message())
    reader = second.answer(message())
    for _ in range(30):
        assert first.rescue() == second.rescue() == 0
        assert reader.wait(0.05) is None
    slow.go.set()
    assert run.wait(10) == reader.wait(10) == Reply("slow", "coze")
    assert eager.asked == []


def test_the_former_owner_shows_the_reply_of_the_new_one(process: Process) -> None:
    slow, eager = Scripted("too late"), Scripted("in the log")
    stalled, living = process(slow), process(eager)
    with stall(stalled):
        run = stalled.answer(message())
        until(living.rescue)
    slow.go.set()
    assert run.wait(0.5) is None, "it is not its to answer any more"
    eager.go.set()
    assert run.wait(10) == Reply("in the log", "coze")
    assert row(living, run.exchange_id).answer == "in the log"
    lines = Sessions(living.exchanges.db).transcript(row(living, run.exchange_id).session_id)
    assert [line.text for line in lines] == ["你好", "in the log"]


@contextmanager
def lost_to_a_doomed_one(process: Process, bot: Scripted) -> Iterator[tuple[Handler, Handler, Follows]]:
    """A stalled process, the one that took its exchange over and renews nothing either, and the reader."""
    stalled, doomed = process(bot), process(Scripted("never"))
    with stall(stalled), stall(doomed):
        run = stalled.answer(message())
        until(doomed.rescue)
        yield stalled, doomed, run


def test_an_exchange_comes_back_when_the_new_owner_dies_as_well(process: Process) -> None:
    slow = Scripted("mine after all")
    with lost_to_a_doomed_one(process, slow) as (_, _, run):
        slow.go.set()
        assert run.wait(10) == Reply("mine after all", "coze")
    assert len(slow.asked) == 2


def test_a_run_knows_that_it_has_lost_before_its_process_has_the_exchange_again(process: Process) -> None:
    slow = Scripted("the second time")
    with lost_to_a_doomed_one(process, slow) as (stalled, doomed, run):
        number = run.exchange_id
        first, shown = stalled._running[number], Lease.of(row(stalled, number))
        until(lambda: stalled.rescue() or first.lost)
        # else what it records in this moment would count: it bears the owner's name
        assert first.lost
        assert row(stalled, number).owner == doomed.owner
        until(stalled.rescue)
        assert row(stalled, number).owner == stalled.owner
        # who was shown the lease before that comes too late, and says nothing about the second run
        assert not stalled._take_over(shown)
        assert not stalled._running[number].lost
    slow.go.set()
    assert run.wait(10) == Reply("the second time", "coze")
    assert len(slow.asked) == 2


def test_a_process_does_not_take_over_from_itself_while_it_works(process: Process) -> None:
    bot = Scripted("once")
    handler = process(bot)
    with stall(handler):
        run = handler.answer(message())
        for _ in range(40):
            assert handler.rescue() == 0
            time.sleep(0.02)
    bot.go.set()
    assert run.wait(10) == Reply("once", "coze")
    assert len(bot.asked) == 1


def test_a_claim_whose_run_never_began_is_rescued_though_its_process_is_busy(process: Process) -> None:
    busy, bot = Scripted("busy"), Scripted("saved", go=True)
    handler, other = process(busy), process(bot)
    handler.answer(message("1"))
    orphan = handler.exchanges.claim(message("2", "v"), handler.owner, 300).exchange.id
    until(other.rescue)
    assert bot.asked == [orphan]
    busy.go.set()


def test_a_run_for_which_there_is_no_thread_is_left_to_others(process: Process) -> None:
    full, bot = process(Scripted("never")), Scripted("saved", go=True)
    start = threading.Thread.start

    def no_room(thread: threading.Thread) -> None:
        if thread.name == "answer":
            raise RuntimeError("can't start new thread")
        start(thread)

    with mock.patch.object(threading.Thread, "start", no_room), pytest.raises(Unavailable):
        full.answer(message())
    assert full.running == 0
    other = process(bot)
    until(other.rescue)
    assert other.answer(message()).wait(10) == Reply("saved", "coze")


def test_a_leaving_process_hands_over_at_once(process: Process) -> None:
    leaving, bot = process(Scripted("never")), Scripted("saved", go=True)
    run = leaving.answer(message())
    leaving.close(patience=0.1)
    other = process(bot)
    assert other.rescue() == 1
    until(lambda: row(other, run.exchange_id).status == "answered")
    time.sleep(2 * leaving.leases.renew_seconds)
    assert leaving.rescue() == 0
    assert row(other, run.exchange_id).answer == "saved"


def test_a_leaving_process_lets_answers_finish_within_its_patience(process: Process) -> None:
    bot = Scripted("mine")
    leaving = process(bot)
    run = leaving.answer(message())
    threading.Timer(0.2, bot.go.set).start()
    leaving.close(patience=10)
    assert leaving.running == 0
    assert run.wait(0) == Reply("mine", "coze")


def test_an_answer_is_shown_when_the_database_has_recorded_it(process: Process) -> None:
    handler = process(Scripted("kept", go=True))
    real, asked = handler.exchanges.answer, []

    def twice_away(*args: object, **options: object) -> Outcome:
        asked.append(args)
        if len(asked) < 3:
            raise Unavailable
        return real(*args, **options)  # type: ignore[arg-type]

    with mock.patch.object(handler.exchanges, "answer", twice_away):
        run = handler.answer(message())
        until(lambda: asked)
        assert run.wait(0) is None
        assert run.wait(10) == Reply("kept", "coze")
    assert row(handler, run.exchange_id).answer == "kept"


def test_an_answer_nobody_can_record_is_shown_in_the_end(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "AWAY_SECONDS", 0.2)
    handler = process(Scripted("shown", go=True))
    with mock.patch.object(handler.exchanges, "answer", side_effect=Unavailable):
        run = handler.answer(message())
        assert run.wait(10) == Reply("shown", "coze")
    other = process(Scripted("recorded", go=True))
    until(other.rescue)


def test_a_reply_is_not_shown_instead_of_the_silence_that_cannot_be_recorded(process: Process) -> None:
    class Taken:
        def respond(self, work: Work) -> Reply:
            work.instead = self.silence
            return Reply("words", "coze")

        def silence(self, _work: Work, _reply: Reply) -> Reply:
            raise Unavailable

    handler = process(Taken())
    with mock.patch.object(handler.exchanges, "answer", return_value="owned"):
        run = handler.answer(message())
        assert run.wait(0.3) is None
    assert row(handler, run.exchange_id).answer is None


def test_an_answer_with_ornaments_that_cannot_be_stored_is_kept_without_them(process: Process) -> None:
    class Ornate:
        def respond(self, work: Work) -> Reply:
            return Reply("words", "coze", docs=(Doc("d"),))

    handler = process(Ornate())
    real = handler.exchanges.answer

    def picky(number: int, owner: str, reply: Reply, *more: object, **options: object) -> Outcome:
        if reply.docs:
            raise ValueError("cannot be stored")
        return real(number, owner, reply, *more, **options)  # type: ignore[arg-type]

    with mock.patch.object(handler.exchanges, "answer", picky):
        run = handler.answer(message())
        assert run.wait(10) == Reply("words", "coze")
    assert row(handler, run.exchange_id).answer == "words"


def test_a_reader_does_not_wait_for_a_run_that_was_torn_down(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    class Torn:
        def respond(self, work: Work) -> Reply:
            raise SystemExit

    handler = process(Torn())
    before = set(threading.enumerate())
    run = handler.answer(message())
    assert run.wait(10) == Reply(Texts().apology, "system", error="internal")
    assert handler.running == 0
    name = f"answer-{run.exchange_id}"
    until(lambda: name not in [each.name for each in set(threading.enumerate()) - before])


def test_a_reader_of_an_erased_exchange_is_not_kept_waiting(process: Process, shared_db: Database) -> None:
    handler = process(Scripted("never"))
    number = handler.exchanges.claim(message(), "another", 60_000).exchange.id
    run = handler.answer(message())
    with shared_db.write() as session:
        session.execute(delete(Message).where(Message.exchange_id == number))
        session.execute(delete(Exchange).where(Exchange.id == number))
    reply = run.wait(10)
    assert reply is not None
    assert reply.error == "erased"


def test_a_reader_outlasts_a_database_that_is_away(process: Process) -> None:
    slow = Scripted("worth waiting", go=False)
    first, second = process(slow), process()
    first.answer(message())
    run = second.answer(message())
    with mock.patch.object(second.exchanges, "get", side_effect=Unavailable):
        assert run.wait(0.3) is None
    slow.go.set()
    assert run.wait(10) == Reply("worth waiting", "coze")


def test_a_delivery_that_cannot_be_recorded_does_not_keep_the_answer(process: Process) -> None:
    handler = process(Scripted("x", go=True))
    run = handler.answer(message())
    run.wait(10)
    with mock.patch.object(handler.deliveries, "deliver", side_effect=Unavailable):
        assert handler.deliver(run, "sync") == "sync"
    assert handler.deliver(run, "passive") == "passive"
    with mock.patch.object(handler.deliveries, "promise", side_effect=Unavailable):
        with pytest.raises(Unavailable):
            handler.promise(run, "push")


def test_two_starts_of_one_exchange_make_one_run(process: Process) -> None:
    bot = Scripted("once")
    handler = process(bot)
    run = handler.answer(message())
    assert isinstance(run, Run)
    exchange = row(handler, run.exchange_id)
    again = handler._start(exchange, message())
    bot.go.set()
    assert again.progress.wait(10) == run.wait(10)
    assert len(bot.asked) == 1
