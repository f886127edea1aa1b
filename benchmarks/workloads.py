"""The workloads in which the gateway meets its peer: S1 and S3 in a closed loop, S2 with many streams."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import load, questions
from benchmarks.load import Load
from benchmarks.processes import Family
from benchmarks.questions import Question, Stack
from benchmarks.results import Results, Round
from benchmarks.servers import Running

UPSTREAM = "upstream alone"
USERS = 400
"""Customers whose questions take turns: many more than are served at once, so that none waits for himself."""
FASTEST = 4_000
"""Answers a second that no server here exceeds: so many requests are written out."""
WARM_UP = 100
WARM_SECONDS = 2.0
"""A slow server is not warmed up for longer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int = 3
    turns: int = 3
    """How often in each round those who are compared follow one another in a closed loop."""
    seconds: float = 2.0
    """Of a closed loop, each turn of each server."""
    connections: int = 64
    pieces: int = 100
    pace_ms: int = 30
    levels: tuple[int, ...] = (50, 200, 500, 1_000, 2_000)
    """Streams open at once."""
    repeated: tuple[int, ...] = (200, 1_000)
    """Levels that are measured in every round, and in the first one of everybody."""
    log_rows: int = 1_000_000
    export_rows: int = 100_000
    library_entries: int = 1_000
    drips: int = 300
    drip_seconds: float = 8.0
    beside: int = 500
    """Streams that run while WeChat asks."""
    deaf_seconds: float = 70.0
    """How long a client that does not read is watched."""
    budget: float = 540.0
    """Seconds for everything: what does not fit is left out, and said to be."""


@dataclass
class Bench:
    """What every workload needs."""

    plan: Plan
    stack: Stack
    results: Results
    coze_port: int
    begun: float = field(default_factory=time.monotonic)

    def in_time(self, what: str) -> bool:
        """Whether the budget allows to begin with this; what it does not is noted."""
        fits = time.monotonic() - self.begun < self.plan.budget
        if not fits:
            self.results.notes.append(f"not measured, time was up: {what}")
        return fits


SHORT = "#20x0 您好，居住证怎么办理？"
MARKERS = {"S1": '"success":true', "S3": "<Encrypt>", "S5": '"message":"答案'}


def closed_loop(bench: Bench, servers: Sequence[Running], workload: str, question: Question) -> None:
    """So many connections ask as fast as they are answered: one server, then the next, again and again.

    A machine's speed changes within seconds; two figures of the same few seconds can still be compared.
    Who is alone has one turn.
    """
    plan = bench.plan
    how = Load(plan.connections, plan.seconds, MARKERS[workload], timeout=10)
    for server in servers:
        warm_up(bench, server, question, how.marker)
    for _ in range(plan.turns if len(servers) > 1 else 1):
        for server in servers:
            file = bench.stack.file(question, round(FASTEST * plan.seconds))
            with used(server.family) as spent:
                measured = load.ask(server.port, file, how)
            count_replies(server, measured)
            bench.results.add(workload, server.contestant.name, Round(measured, spent[0]))


def s1(bench: Bench, servers: Sequence[Running]) -> None:
    """The chat API, one JSON back."""
    closed_loop(bench, servers, "S1", questions.web("/api/chat", SHORT, USERS))


def s3(bench: Bench, servers: Sequence[Running]) -> None:
    """WeChat's callback in safe mode, a passive reply back."""
    closed_loop(bench, servers, "S3", questions.wechat(SHORT, USERS))


def s2(bench: Bench, server: Running, streams: int) -> None:
    """So many streams at once: all begun within the time of one, each followed by a second."""
    plan = bench.plan
    question = questions.web(
        "/api/chat/stream", f"#{plan.pieces}x{plan.pace_ms} 您好", max(USERS, streams * 2)
    )
    marker = server.contestant.done
    warm_up(bench, server, questions.web("/api/chat/stream", "#20x0 您好", USERS), marker)
    server.family.forget_peak()
    before = server.family.memory().resident
    file = bench.stack.file(question, streams * 2)
    with used(server.family) as spent:
        measured = load.ask(server.port, file, _streams(plan, streams, marker))
    count_replies(server, measured)
    found = Round(measured, spent[0], before, server.family.memory().peak, streams)
    bench.results.add(f"S2 {streams}", server.contestant.name, found)


def s2_bare(bench: Bench, streams: int) -> None:
    """The same streams from the upstream itself: what nobody in between can exceed."""
    plan = bench.plan
    file = bench.stack.file(questions.coze(f"#{plan.pieces}x{plan.pace_ms}"), streams * 2)
    measured = load.ask(bench.coze_port, file, _streams(plan, streams, "event:done"))
    bench.results.add(f"S2 {streams}", UPSTREAM, Round(measured))


def s1_bare(bench: Bench) -> None:
    """The upstream's own speed: far above every server's, or it would be what is measured."""
    file = bench.stack.file(questions.coze(SHORT), 20_000)
    how = Load(bench.plan.connections, bench.plan.seconds, "event:done", 20)
    bench.results.add("S1", UPSTREAM, Round(load.ask(bench.coze_port, file, how)))


def warm_up(bench: Bench, server: Running, question: Question, marker: str) -> None:
    """Lets both workers compile, connect and cache what they will need."""
    file = bench.stack.file(question, WARM_UP)
    count_replies(server, load.ask(server.port, file, Load(8, WARM_SECONDS, marker)))


def count_replies(server: Running, measured: load.Measured) -> None:
    """Remembers what was answered, to compare it with the rows in the end."""
    server.contestant.replies += measured.done
    server.contestant.failures += measured.failed


@contextmanager
def used(family: Family) -> Iterator[list[float]]:
    """In the list, after the block: the seconds of CPU that the family spent in it."""
    spent: list[float] = []
    before = family.cpu()
    yield spent
    spent.append(family.cpu() - before)


def _streams(plan: Plan, streams: int, marker: str) -> Load:
    length_ms = plan.pieces * plan.pace_ms
    # a server that cannot keep up is not waited for without end
    latest = 3 * length_ms / 1000 + 2
    return Load(streams, latest, marker, plan.pieces, length_ms, timeout=round(latest + 6))
