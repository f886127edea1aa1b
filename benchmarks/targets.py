"""What the gateway is meant to reach, beside what it reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.results import MB, Results, Round
from benchmarks.servers import WORKERS, Contestant
from benchmarks.workloads import UPSTREAM

GATEWAY, EMBEDDED = "gateway, PostgreSQL", "gateway, SQLite"
PEER_ROWS, PEER = "peer + row", "peer, no row"
PASS_THROUGH = "libraries alone"
ONCE = frozenset({EMBEDDED, PEER, PASS_THROUGH})
"""With whom nothing is compared: they are measured once, and not on every level."""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table: what is wanted, what was found, and whether that is enough."""

    wanted: str
    found: str
    kept: bool


def table(results: Results, gateway: Contestant) -> Iterator[str]:
    """Only lines whose figures were measured."""
    yield "| target | measured | kept |"
    yield "|---|---|---|"
    for each in _targets(results, gateway):
        yield f"| {each.wanted} | {each.found} | {'yes' if each.kept else '**no**'} |"


def _targets(results: Results, gateway: Contestant) -> Iterator[Target]:
    for workload, name in (("S1", "JSON answer"), ("S3", "WeChat in safe mode")):
        if rates := _ratios(results, workload, lambda r: r.measured.rate):
            rate = statistics.median(rates)
            wanted = f"{workload} {name}: req/s ≥ 3 × peer with row"
            yield Target(wanted, f"{rate:.2f} × ({min(rates):.2f} to {max(rates):.2f})", rate >= 3)
        if workload == "S1" and (used := _ratios(results, workload, lambda r: r.cpu_ms)):
            cpu = statistics.median(used)
            found = f"{cpu:.2f} × ({min(used):.2f} to {max(used):.2f})"
            yield Target("S1: CPU a request ≤ 0.35 × peer with row", found, cpu <= 0.35)
    yield from _of_streams(results)
    yield from _of_the_gateway_alone(results, gateway)


def _of_streams(results: Results) -> Iterator[Target]:
    for workload in results.workloads("S2 "):
        streams = workload.removeprefix("S2 ")
        if used := _ratios(results, workload, lambda r: r.cpu_ms):
            cpu = statistics.median(used)
            yield Target(
                f"S2, {streams} streams: CPU each ≤ 0.42 × peer with row", f"{cpu:.2f} ×", cpu <= 0.42
            )
        if not results.rounds.get((workload, GATEWAY)):
            continue
        failed = results.failed(workload, GATEWAY)
        yield Target(f"S2, {streams}: no failure", str(failed), failed == 0)
        kb = results.median(workload, GATEWAY, lambda r: r.kb_each) or 0.0
        if int(streams) >= 200:
            yield Target(f"S2, {streams}: < 80 KB a stream", f"{kb:.0f} KB", kb < 80)
        if int(streams) != 1_000:
            continue
        own = results.median(workload, GATEWAY, lambda r: r.measured.rate) or 0.0
        limit = results.median(workload, UPSTREAM, lambda r: r.measured.rate) or 1.0
        p50 = results.median(workload, GATEWAY, lambda r: r.measured.first.p50) or 0.0
        p99 = results.median(workload, GATEWAY, lambda r: r.measured.first.p99) or 0.0
        yield Target(
            "S2, 1000: streams/s ≥ 0.98 of the upstream's", f"{own / limit:.2f}", own / limit >= 0.98
        )
        found = f"{p50:.1f} / {p99:.0f} ms"
        yield Target("S2, 1000: first piece p50 < 5 ms, p99 < 50 ms", found, p50 < 5 and p99 < 50)


def _of_the_gateway_alone(results: Results, gateway: Contestant) -> Iterator[Target]:
    facts = results.facts
    if "log.rows" in facts:
        p95, rows = facts["log.slowest_p95"], f"{facts['log.rows']:,.0f}"
        yield Target(f"S4: slowest page over {rows} rows p95 < 200 ms", f"{p95:.0f} ms", p95 < 200)
        mb = facts["export.mb"]
        yield Target(f"S4: export of {facts['export.rows']:,.0f} rows < 200 MB", f"{mb:.0f} MB", mb < 200)
    for server in results.servers("S5"):
        cpu = results.median("S5", server, lambda r: r.cpu_ms) or 0.0
        empty, commits = facts[f"S5.empty {server}"], facts[f"S5.commits {server}"]
        own = cpu - empty - commits
        found = f"{own:.2f} ms ({cpu:.2f} − {empty:.2f} − {commits:.2f})"
        wanted = f"S5 on {server.split(', ')[1]}: CPU beyond an empty route and two commits < 1 ms"
        yield Target(wanted, found, own < 1)
    for way, name in (("bare", "itself"), ("nginx", "behind nginx")):
        if f"drip.{way}.asked" in facts:
            asked, answered = facts[f"drip.{way}.asked"], facts[f"drip.{way}.answered"]
            found = f"{answered:.0f} of {asked:.0f}, slowest {facts[f'drip.{way}.slowest']:.0f} ms"
            wanted = f"{facts['drips']:.0f} dripping clients, {name}: every health check answered in 50 ms"
            yield Target(wanted, found, answered == asked and facts[f"drip.{way}.slowest"] < 50)
        if f"deaf.{way}" in facts:
            after = facts[f"deaf.{way}"]
            found = f"after {after:.0f} s" if after >= 0 else f"not in {-after:.0f} s"
            yield Target(f"a client that reads nothing, {name}: cut", found, after >= 0)
    if "beside.p50" in facts:
        found = (
            f"{facts['beside.p50']:.0f} / {facts['beside.p99']:.0f} ms, {facts['beside.failed']:.0f} failed"
        )
        wanted = f"WeChat beside {facts['beside']:.0f} streams: p99 < 1 s, no failure"
        yield Target(wanted, found, facts["beside.p99"] < 1000 and facts["beside.failed"] == 0)
    if gateway.starts:
        start, idle = statistics.median(gateway.starts), statistics.median(gateway.idle) / MB
        yield Target("start < 2 s", f"{start:.1f} s", start < 2)
        yield Target("idle worker, with all that it shares < 90 MB", f"{idle:.0f} MB", idle < 90)
        each = statistics.median(gateway.together) / WORKERS / MB
        yield Target("all processes idle, shared memory once: < 90 MB a worker", f"{each:.0f} MB", each < 90)


def _ratios(results: Results, workload: str, figure: Callable[[Round], float]) -> Sequence[float]:
    """The gateway's figure as multiples of that of the peer with a row."""
    return results.ratios(workload, GATEWAY, PEER_ROWS, figure)
