"""The handler: one claim, one run, any number of readers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice

import pytest

from handler.handler import Handler
from handler.message import InboundMessage, Reply
from handler.run import FollowedRun, Progress, Run
from handler.work import Work
from storage.db import Database
from storage.deliveries import Deliveries
from storage.exchanges import Exchanges
from storage.leases import Leases
from texts import Texts


class Scripted:
    """A responder that answers when the test says so."""

    def __init__(self, reply: Reply | Exception | None = None) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []
        self.reply = reply or Reply("好的", "coze")

    def respond(self, work: Work) -> Reply | None:
        self.asked.append(work.message.text)
        work.delta("好")
        assert self.go.wait(10)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


@pytest.fixture
def build(db: Database) -> Callable[..., Handler]:
    return lambda *responders: Handler(Exchanges(db), Leases(db), Deliveries(db), responders, Texts())


def message(text: str = "你好", key: str = "1", user: str = "u") -> InboundMessage:
    return InboundMessage("web", "default", user, key, text, request_id="trace")


def test_an_answer_is_logged_with_its_timing_and_shown_to_its_reader(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    handler = build(bot)
    run = handler.answer(message())
    bot.go.set()
    assert run.wait(5) == Reply("好的", "coze")
    row = handler.exchanges.get(run.exchange_id)
    assert row is not None
    assert (row.status, row.answer, row.source, row.question) == ("answered", "好的", "coze", "你好")
    assert row.first_delta_ms is not None
    assert row.total_ms is not None
    assert row.first_delta_ms <= row.total_ms
    assert row.owner is None


def test_fifty_equal_deliveries_make_one_run_and_get_one_answer(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    handler = build(bot)
    barrier = threading.Barrier(50)
    replies: list[Reply | None] = []

    def deliver() -> None:
        barrier.wait()
        replies.append(handler.answer(message()).wait(10))

    threads = [threading.Thread(target=deliver) for _ in range(50)]
    for thread in threads:
        thread.start()
    bot.go.set()
    for thread in threads:
        thread.join()
    assert bot.asked == ["你好"]
    assert replies == [Reply("好的", "coze")] * 50


def test_a_second_process_follows_the_row_and_gets_the_same_answer(build: Callable[..., Handler]) -> None:
    bot, other_bot = Scripted(), Scripted()
    first, second = build(bot), build(other_bot)
    mine = first.answer(message())
    joined = second.answer(message())
    assert isinstance(mine, Run)
    assert isinstance(joined, FollowedRun)
    assert joined.wait(0.05) is None
    bot.go.set()
    assert joined.wait(5) == mine.wait(5) == Reply("好的", "coze")
    assert [*joined.deltas()] == ["好的"]
    assert other_bot.asked == []


def test_attempts_are_counted_across_processes(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    bot.go.set()
    handlers = [build(bot), build(bot), build(bot)]
    assert [handler.answer(message()).attempt for handler in handlers] == [1, 2, 3]


def test_a_reader_that_comes_late_gets_every_delta(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    handler = build(bot)
    run = handler.answer(message())
    bot.go.set()
    run.wait(5)
    assert [*run.deltas()] == ["好"]


def test_pieces_that_came_together_are_passed_on_together() -> None:
    progress = Progress()
    pieces = progress.deltas(None)
    progress.emit("居住")
    assert next(pieces) == "居住"
    emitting = threading.Timer(0.05, lambda: [progress.emit(each) for each in ("证", "怎么", "办")])
    emitting.start()
    came = next(pieces)
    emitting.join()
    progress.finish(Reply("", "coze"))
    assert came + "".join(pieces) == "证怎么办"
    assert list(progress.deltas(None)) == ["居住证怎么办"]


def test_once_somebody_has_read_along_all_pieces_are_wanted() -> None:
    progress = Progress()
    progress.wait(0)
    assert not progress.followed
    pieces = progress.deltas(None)
    progress.emit("居住")
    next(pieces)
    pieces.close()
    assert progress.followed, "a page that was cut off comes back"


def test_a_quiet_run_yields_heartbeats(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    pieces = build(bot).answer(message()).deltas(heartbeat=0.01)
    assert "" in islice(pieces, 2)
    bot.go.set()


def test_a_responder_that_breaks_leaves_an_apology_and_an_error_code(build: Callable[..., Handler]) -> None:
    bot = Scripted(RuntimeError("secret detail"))
    bot.go.set()
    handler = build(bot)
    run = handler.answer(message())
    assert run.wait(5) == Reply(Texts().apology, "system", error="internal")
    row = handler.exchanges.get(run.exchange_id)
    assert row is not None
    assert row.error_code == "internal"
    assert "secret" not in (row.answer or "")


def test_a_reply_is_delivered_once(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    bot.go.set()
    handler = build(bot)
    run = handler.answer(message())
    run.wait(5)
    assert [handler.deliver(run, "sync"), handler.deliver(run, "push")] == ["sync", "sync"]
    row = handler.exchanges.get(run.exchange_id)
    assert row is not None
    assert (row.status, row.delivery) == ("delivered", "sync")


def test_a_reply_whose_reader_waits_is_delivered_as_it_is_recorded(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    handler = build(bot)
    run = handler.answer(message())
    with run.taking("sync"):
        bot.go.set()
        assert run.wait(5) is not None
    row = handler.exchanges.get(run.exchange_id)
    assert row is not None
    assert (row.status, row.delivery, run.given) == ("delivered", "sync", "sync")
    assert [handler.deliver(run, "sync"), handler.deliver(run, "stream")] == ["sync", "sync"]


def test_an_apology_is_not_delivered_by_itself(build: Callable[..., Handler]) -> None:
    bot = Scripted(Reply("抱歉", "system", error="coze_5000"))
    bot.go.set()
    handler = build(bot)
    run = handler.answer(message())
    assert run.wait(5, "sync") is not None
    row = handler.exchanges.get(run.exchange_id)
    assert row is not None
    assert (row.status, row.delivery, run.given) == ("answered", None, None)


def test_a_reader_who_has_left_takes_nothing(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    handler = build(bot)
    run = handler.answer(message())
    assert run.wait(0.01, "sync") is None
    bot.go.set()
    assert run.wait(5) is not None
    row = handler.exchanges.get(run.exchange_id)
    assert row is not None
    assert (row.status, run.given) == ("answered", None)


def test_a_reader_who_leaves_while_its_reply_is_recorded_gets_it() -> None:
    progress, reply = Progress(), Reply("好的", "coze")
    with progress.taking("sync"):
        assert progress.wait(0) is None
        assert progress.begin_recording() == "sync"
        threading.Timer(0.05, progress.finish, (reply, "sync")).start()
    assert progress.wait(0) is reply
    assert progress.given == "sync"


def test_nothing_runs_after_the_answer(build: Callable[..., Handler]) -> None:
    bot = Scripted()
    bot.go.set()
    handler = build(bot)
    runs = [handler.answer(message(key=str(number))) for number in range(5)]
    for run in runs:
        run.wait(5)
    for _ in range(100):
        if not handler.running:
            break
        threading.Event().wait(0.01)
    assert handler.running == 0
