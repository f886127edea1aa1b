"""The Markdown that a measurement prints: the machine, the tables, and the targets beside the figures."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.results import MB, Results, Round
from benchmarks.servers import Contestant
from benchmarks.workloads import UPSTREAM


def machine(databases: Sequence[str], packages: str) -> Iterator[str]:
    """Where it ran, and with what."""
    model = next((line.split(": ")[1] for line in _cpuinfo() if line.startswith("model name")), "unknown CPU")
    yield f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, "
    yield f"Python {platform.python_version()}; {', '.join(databases)}; {packages}; "
    yield f"load before: {os.getloadavg()[0]:.1f}"


def closed_loops(results: Results) -> Iterator[str]:
    """S1, S3 and S5."""
    yield "| workload | server | req/s | CPU ms | p50 ms | p99 ms | failed |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for workload in ("S1", "S3", "S5"):
        for server in results.servers(workload):
            median = _Medians(results, workload, server)
            cpu = "–" if server == UPSTREAM else f"{median(lambda r: r.cpu_ms):.2f}"
            cells = [
                workload,
                server,
                f"{median(lambda r: r.measured.rate):,.0f}",
                cpu,
                f"{median(lambda r: r.measured.whole.p50):.1f}",
                f"{median(lambda r: r.measured.whole.p99):.1f}",
                str(results.failed(workload, server)),
            ]
            yield f"| {' | '.join(cells)} |"


def streams(results: Results) -> Iterator[str]:
    """S2, level by level."""
    yield (
        "| streams | server | CPU ms each | first piece p50 / p99 ms | any piece p50 / p99 ms | streams/s "
        "| of the upstream's | peak MB | KB each | failed |"
    )
    yield "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for workload in results.workloads("S2 "):
        limit = results.median(workload, UPSTREAM, lambda r: r.measured.rate) or 0.0
        for server in results.servers(workload):
            median = _Medians(results, workload, server)
            bare = server == UPSTREAM
            rate = median(lambda r: r.measured.rate)
            cells = [
                workload.removeprefix("S2 "),
                server,
                "–" if bare else f"{median(lambda r: r.cpu_ms):.1f}",
                _pair(median(lambda r: r.measured.first.p50), median(lambda r: r.measured.first.p99)),
                _pair(median(lambda r: r.measured.delta.p50), median(lambda r: r.measured.delta.p99)),
                f"{rate:.1f}",
                f"{rate / limit:.2f}" if limit else "–",
                "–" if bare else f"{median(lambda r: r.peak) / MB:.0f}",
                "–" if bare else f"{median(lambda r: r.kb_each):.0f}",
                str(results.failed(workload, server)),
            ]
            yield f"| {' | '.join(cells)} |"


def servers(contestants: Sequence[Contestant]) -> Iterator[str]:
    """Starts and idle memory."""
    yield "| server | start s | idle worker MB | all its processes MB, shared memory once |"
    yield "|---|---:|---:|---:|"
    for each in contestants:
        if each.starts:
            idle = statistics.median(each.idle) / MB
            together = statistics.median(each.together) / MB
            yield f"| {each.name} | {statistics.median(each.starts):.1f} | {idle:.0f} | {together:.0f} |"


class _Medians:
    """Medians of one server under one workload."""

    def __init__(self, results: Results, workload: str, server: str) -> None:
        self._of = results, workload, server

    def __call__(self, figure: Callable[[Round], float]) -> float:
        results, workload, server = self._of
        return results.median(workload, server, figure) or 0.0


def _pair(middle: float, late: float) -> str:
    return f"{middle:.1f} / {late:.0f}"


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text().splitlines()
