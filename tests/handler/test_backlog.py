"""What came in during an outage: answered a few at a time, in the end all of it, and never twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from errors import Unavailable
from handler.backlog import Backlog
from handler.handler import Handler
from handler.message import InboundMessage, Reply
from handler.work import Work


def test_no_more_answers_are_made_together_than_there_are_places() -> None:
    backlog, inside, most = Backlog(3), 0, 0
    lock = threading.Lock()

    def make() -> None:
        nonlocal inside, most
        with backlog:
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=make) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert (inside, most) == (0, 3)


def test_no_answer_begins_while_more_are_claimed() -> None:
    backlog, begun = Backlog(3), threading.Event()

    def make() -> None:
        with backlog:
            begun.set()

    with backlog.growing():
        making = threading.Thread(target=make)
        making.start()
        assert not begun.wait(0.1)
    assert begun.wait(5)
    making.join()


class Recovering:
    """A responder whose database is away for the first few times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked = 0

    def respond(self, work: Work) -> Reply | None:
        self.asked += 1
        if self.asked <= self.failures:
            raise Unavailable
        return Reply("好的", "coze")


def test_an_answer_that_lost_its_database_is_taken_up_again_and_shown_to_who_waits(
    process: Callable[..., Handler],
) -> None:
    responder = Recovering(2)
    handler = process(responder)
    run = handler.answer(InboundMessage("web", "default", "u", "k", "你好", request_id="trace"))
    assert run.wait(20) == Reply("好的", "coze")
    row = handler.exchanges.get(run.exchange_id)
    assert row is not None
    assert (row.status, row.answer) == ("answered", "好的")
    assert responder.asked == 3
