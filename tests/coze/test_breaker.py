"""When a Coze that fails is left alone, and how its return is noticed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from coze.breaker import FAILURES, PROBE_SECONDS, Breaker, Call
from coze.errors import (
    Abandoned,
    AuthError,
    ChatFailed,
    CozeError,
    Disconnected,
    Empty,
    Malformed,
    Resting,
    TimedOut,
    Truncated,
    Unreachable,
    error_from,
)


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(now=clock)


def call(breaker: Breaker, *events: CozeError | Callable[[Call], None]) -> None:
    """One call in which these things happen; an error is its end."""
    try:
        with breaker.call() as running:
            for event in events:
                if isinstance(event, CozeError):
                    raise event
                event(running)
    except Resting:
        raise
    except CozeError:
        return


def opened(breaker: Breaker) -> Breaker:
    for _ in range(FAILURES):
        call(breaker, Unreachable())
    assert breaker.state == "open"
    return breaker


OUTAGES = [
    Unreachable(),
    Disconnected(),
    TimedOut(),
    Truncated(),
    AuthError("internal_error"),
    AuthError("http_502"),
    *(error_from(code, "") for code in (4009, 4013, 5000)),
    *(error_from(0, "", http_status=status) for status in (500, 502, 503, 504, 521)),
    error_from(720702001, "", http_status=500),
]
OURS_OR_THE_CUSTOMER_S = [
    Empty(),
    ChatFailed("canceled"),
    AuthError("invalid_client"),
    *(error_from(code, "") for code in (4000, 4002, 4008, 4014, 4015, 4016, 4020, 4100, 4101, 4105, 4200)),
    *(error_from(0, "", http_status=status) for status in (301, 400, 401, 403, 404, 429)),
]


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: error.name)
def test_failures_of_coze_itself_open_it(breaker: Breaker, error: CozeError) -> None:
    for _ in range(FAILURES - 1):
        call(breaker, error)
    assert breaker.state == "closed"
    call(breaker, error)
    assert breaker.state == "open"
    with pytest.raises(Resting):
        call(breaker)


@pytest.mark.parametrize("error", OURS_OR_THE_CUSTOMER_S, ids=lambda error: error.name)
def test_a_refusal_that_is_no_outage_shows_that_coze_is_there(breaker: Breaker, error: CozeError) -> None:
    for _ in range(FAILURES - 1):
        call(breaker, TimedOut())
    call(breaker, error)
    for _ in range(FAILURES - 1):
        call(breaker, TimedOut())
    assert breaker.state == "closed"


@pytest.mark.parametrize("error", [Malformed(), Abandoned()], ids=lambda error: error.name)
def test_what_says_nothing_of_coze_changes_nothing(breaker: Breaker, clock: Clock, error: CozeError) -> None:
    for _ in range(FAILURES - 1):
        call(breaker, TimedOut())
    call(breaker, error)
    assert breaker.state == "closed"
    call(breaker, TimedOut())
    assert breaker.state == "open"
    clock.now += 5
    call(breaker, error)
    assert breaker.state == "open", "nor does it end the rest"


def test_words_of_an_answer_count_whatever_follows_them(breaker: Breaker) -> None:
    for _ in range(3 * FAILURES):
        call(breaker, Call.spoke, Truncated())
    assert breaker.state == "closed"


def test_a_chat_that_fails_after_it_was_taken_is_a_failure(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        call(breaker, Call.taken, lambda running: running.failed(error_from(5000, "")))
    assert breaker.state == "open"


def test_one_probe_goes_through_after_each_pause(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    for _ in range(4):
        clock.now += 4.9
        assert breaker.resting
        with pytest.raises(Resting):
            call(breaker)
        clock.now += 0.1
        assert not breaker.resting
        call(breaker, Unreachable())
        assert breaker.state == "open"


def test_a_probe_that_succeeds_closes_it(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 5
    call(breaker)
    assert breaker.state == "closed"
    for _ in range(FAILURES - 1):
        call(breaker, TimedOut())
    assert breaker.state == "closed", "the count began anew"


def test_a_probe_that_is_taken_lets_the_others_in_on_trial(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 5
    with breaker.call() as probe:
        assert breaker.state == "half_open"
        probe.taken()
        call(breaker, Call.taken)
        assert breaker.state == "closed"
    opened(breaker)
    clock.now += 5
    call(breaker, Call.taken, Truncated())
    assert breaker.state == "open", "one failure is enough"


def test_the_next_probe_is_due_a_pause_after_the_last_began(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 5
    call(breaker, lambda _: clock.tick(PROBE_SECONDS), TimedOut())
    call(breaker)
    assert breaker.state == "closed"


def test_a_probe_waits_a_shorter_time_than_others(breaker: Breaker, clock: Clock) -> None:
    with breaker.call() as ordinary:
        assert ordinary.within(9_999.0) == 9_999.0
    opened(breaker)
    clock.now += 5
    with breaker.call() as probe:
        assert probe.within(9_999.0) == clock.now + PROBE_SECONDS
        assert probe.within(clock.now + 1) == clock.now + 1


def test_a_probe_that_dies_leaves_its_place_to_the_next(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 5
    with pytest.raises(KeyboardInterrupt), breaker.call():
        raise KeyboardInterrupt
    assert breaker.resting
    clock.now += 5
    call(breaker)
    assert breaker.state == "closed"


def test_calls_from_before_know_nothing_of_what_came_after(breaker: Breaker, clock: Clock) -> None:
    with breaker.call() as early:
        opened(breaker)
        early.spoke()
        assert breaker.state == "open"
    breaker = Breaker(now=clock)

    def down_and_up_again(_: Call) -> None:
        opened(breaker)
        clock.now += 5
        call(breaker)

    call(breaker, down_and_up_again, TimedOut())
    assert breaker.state == "closed"
    for _ in range(FAILURES - 1):
        call(breaker, TimedOut())
    assert breaker.state == "closed", "the late failure was not counted"


@pytest.mark.parametrize("turn", range(20))
def test_of_many_threads_one_is_the_probe(clock: Clock, breaker: Breaker, turn: int) -> None:
    opened(breaker)
    clock.now += 5
    start, inside = threading.Barrier(16), threading.Barrier(16)
    probes: list[bool] = []

    def race() -> None:
        start.wait(10)
        try:
            with breaker.call() as mine:
                probes.append(mine.probe)
                inside.wait(10)
        except Resting:
            inside.wait(10)

    threads = [threading.Thread(target=race) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert probes == [True]


def test_each_change_is_logged_once(breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "coze.breaker"):
        opened(breaker)
        for _ in range(10):
            with pytest.raises(Resting):
                call(breaker)
        clock.now += 5
        call(breaker, Unreachable())
        clock.now += 5
        call(breaker)
    changes = [(each.levelname, each.__dict__["state"], each.__dict__["cause"]) for each in caplog.records]
    assert changes == [
        ("WARNING", "open", "coze_unreachable"),
        ("INFO", "half_open", ""),
        ("WARNING", "open", "coze_unreachable"),
        ("INFO", "half_open", ""),
        ("WARNING", "closed", ""),
    ]
