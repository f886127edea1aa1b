"""Figures as they come in, and what is made of several rounds of them."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.load import Measured

MB = 1024 * 1024
END_OF_HEAD = "    "
"""Two ends of lines, as an example shows them."""


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one server under one workload."""

    measured: Measured
    cpu: float = 0.0
    """Seconds of user and system time of the server's processes."""
    before: int = 0
    """Resident bytes of the server's processes before it."""
    peak: int = 0
    """The most they had during it."""
    streams: int = 0
    """Streams that were open at once; 0 for other workloads."""

    @property
    def cpu_ms(self) -> float:
        """Milliseconds for each complete answer."""
        return self.cpu / self.measured.done * 1000 if self.measured.done else 0.0

    @property
    def kb_each(self) -> float:
        """KiB that a stream added."""
        return max(0, self.peak - self.before) / 1024 / self.streams if self.streams else 0.0


@dataclass
class Results:
    """Everything measured, by workload and server; and what does not fit into rounds."""

    rounds: dict[tuple[str, str], list[Round]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[str, float] = field(default_factory=dict)
    """Single figures by name."""
    notes: list[str] = field(default_factory=list)
    """What a reader has to know about a run that was not as it should be."""

    def add(self, workload: str, server: str, found: Round) -> None:
        self.rounds[workload, server].append(found)
        self.note_failures(f"{workload}, {server}", found.measured)

    def note_failures(self, what: str, measured: Measured) -> None:
        """Says what failed, if anything did."""
        if measured.failed:
            kinds = ", ".join(f"{count} × {name}" for name, count in measured.failures.items())
            head, _, body = measured.example.partition(END_OF_HEAD)
            self.notes.append(f"{what}: {kinds}. First: {head[:40]!r}, {body[:160]!r}")

    def median(self, workload: str, server: str, figure: Callable[[Round], float]) -> float | None:
        """The middle of the rounds' figures; None when there was no round."""
        found = self.rounds.get((workload, server))
        return statistics.median(map(figure, found)) if found else None

    def ratios(
        self, workload: str, server: str, other: str, figure: Callable[[Round], float]
    ) -> Sequence[float]:
        """The server's figure as a multiple of the other's, for each time that both had their turn."""
        own, others = (self.rounds.get((workload, each), ()) for each in (server, other))
        pairs = ((figure(one), figure(two)) for one, two in zip(own, others, strict=False))
        return [one / two for one, two in pairs if two]

    def failed(self, workload: str, server: str) -> int:
        """Requests without a complete answer, of all rounds."""
        return sum(each.measured.failed for each in self.rounds.get((workload, server), ()))

    def servers(self, workload: str) -> Sequence[str]:
        """Who was measured under this workload, in the order of the first measurement."""
        return [server for name, server in self.rounds if name == workload]

    def workloads(self, beginning: str) -> Sequence[str]:
        """Workloads whose names begin so."""
        return list(Counter(name for name, _ in self.rounds if name.startswith(beginning)))
