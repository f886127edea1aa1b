"""The whole measurement: `make bench`, or `make bench-quick` for a minute of it. See docs/performance.md."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from benchmarks import agreement, bystanders, own, report, scratch, targets, workloads
from benchmarks.native import BUILT
from benchmarks.questions import Stack
from benchmarks.results import Results
from benchmarks.servers import ROOT, Contestant, nginx, prepared, running, upstream
from benchmarks.targets import EMBEDDED, GATEWAY, ONCE, PASS_THROUGH, PEER, PEER_ROWS
from benchmarks.workloads import Bench, Plan

QUICK = Plan(
    rounds=1,
    turns=2,
    seconds=1.0,
    pieces=30,
    levels=(200,),
    repeated=(),
    log_rows=20_000,
    export_rows=5_000,
    library_entries=200,
    drips=60,
    drip_seconds=2.0,
    beside=50,
    deaf_seconds=0.0,
    budget=70.0,
)
TINY = replace(
    QUICK, turns=1, seconds=0.3, connections=4, pieces=5, pace_ms=10, levels=(5,), repeated=(5,),
    log_rows=2_000, export_rows=500, library_entries=50, drips=6, drip_seconds=0.5, beside=5, budget=600.0,
)  # fmt: skip
PACKAGES = ("flask", "gevent", "gunicorn", "requests", "sqlalchemy", "psycopg")
PEERS_PYTHON = ROOT / ".venv-bench/bin/python"


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = options.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", dest="plan", const=QUICK, help="under 90 seconds")
    size.add_argument("--tiny", action="store_const", dest="plan", const=TINY, help="a few requests each")
    options.add_argument(
        "--postgres",
        default=os.environ.get("YINGDA_TEST_POSTGRES_URL", ""),
        help="SQLAlchemy URL of a server on which scratch databases may be made; "
        "default: a server of its own, where PostgreSQL is installed",
    )
    options.add_argument(
        "--only", default="", help="comma-separated: S1, S2, S3, S4, S5, bystanders; default: all"
    )
    options.add_argument("--log-url", default="", help="database for S4; default: a file in var/bench")
    chosen = options.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yingda-bench-")))
        folder.chmod(0o755)  # PostgreSQL has a user of its own
        server = chosen.postgres or stack.enter_context(_own_postgres(folder))
        contestants = [prepared(each) for each in _contestants(stack, folder, server)]
        coze = stack.enter_context(upstream())
        bench = Bench(chosen.plan or Plan(), Stack(folder), Results(), coze)
        only = frozenset(filter(None, chosen.only.split(",")))
        databases = [scratch.version(each.database_url) for each in contestants[:2] if each.database_url]
        head = "".join(report.machine(databases, ", ".join(f"{each} {version(each)}" for each in PACKAGES)))
        begun = time.monotonic()
        _measure(bench, contestants, only, chosen.log_url)
        took = time.monotonic() - begun
    print(f"{head}, after: {os.getloadavg()[0]:.1f}; {took:.0f} s\n")
    gateway = next(each for each in contestants if each.kind == "gateway")
    for lines in (
        targets.table(bench.results, gateway),
        report.closed_loops(bench.results),
        report.streams(bench.results),
        report.servers(contestants),
    ):
        print("\n".join(lines), end="\n\n")
    for note in bench.results.notes:
        print(f"- {note}")


def _measure(bench: Bench, contestants: Sequence[Contestant], only: frozenset[str], log_url: str) -> None:
    def wanted(name: str) -> bool:
        return not only or name in only

    for number in range(bench.plan.rounds):
        _say(f"round {number + 1} of {bench.plan.rounds}")
        _round(bench, contestants, number, wanted("S1"), wanted("S3"), wanted("S2"))
        if number == 0:
            # before the rounds that only make the figures steadier: the time may not suffice for those
            _once(bench, contestants, wanted, log_url)
    for each in contestants:
        if each.database_url:
            rows = scratch.settled(each.kind, each.database_url, each.replies)
            right = each.replies <= rows <= each.replies + each.failures
            words = f"{each.name}: {each.replies:,} replies, {rows:,} rows with an answer"
            bench.results.notes.append(words if right else f"**{words}**")


def _once(
    bench: Bench, contestants: Sequence[Contestant], wanted: Callable[[str], bool], log_url: str
) -> None:
    """What is measured once, and of the gateway alone."""
    gateways = [each for each in contestants if each.kind == "gateway"]
    if wanted("S5"):
        for each in gateways:
            if bench.in_time(f"S5 on {each.name}"):
                _say(f"S5 on {each.name}")
                own.s5(bench, each)
    if wanted("bystanders") and bench.in_time("bystanders"):
        _say("clients that drip, that do not read, and WeChat beside streams")
        _bystanders(bench, gateways[0])
    if wanted("S4") and bench.in_time("S4"):
        _say("S4; the first time fills a database")
        BUILT.mkdir(parents=True, exist_ok=True)
        url = log_url or f"sqlite:///{BUILT}/log-{bench.plan.log_rows}.db"
        own.s4(bench, gateways[0].folder / "log", url)


def _round(
    bench: Bench, contestants: Sequence[Contestant], number: int, s1: bool, s3: bool, s2: bool
) -> None:
    """Everybody once, one after the other, so that a machine's moods meet all of them; who is compared in a
    closed loop takes turns with the other within it."""
    if s1:
        workloads.s1_bare(bench)
    if s1 or s3 or s2:
        compared = [each for each in contestants if each.name not in ONCE]
        others = [] if number else [[each] for each in contestants if each.name in ONCE]
        for group in (compared, *others):
            names = " and ".join(each.name for each in group)
            if not bench.in_time(f"S1 and S3 of {names}"):
                return
            with ExitStack() as stack:
                servers = [stack.enter_context(running(each, bench.coze_port)) for each in group]
                if number == 0:
                    for server in servers:
                        agreement.require(bench, server)
                if s1:
                    workloads.s1(bench, servers)
                if s3 and (called := [each for each in servers if each.contestant.wechat]):
                    workloads.s3(bench, called)
    for level in bench.plan.levels if s2 else ():
        if number and level not in bench.plan.repeated:
            continue
        workloads.s2_bare(bench, level)
        for each in contestants:
            if each.name in ONCE and (number or level not in bench.plan.repeated):
                continue
            if bench.in_time(f"S2 with {level} streams of {each.name}"):
                with running(each, bench.coze_port) as server:
                    workloads.s2(bench, server, level)


def _bystanders(bench: Bench, gateway: Contestant) -> None:
    plan, facts = bench.plan, bench.results.facts
    facts["drips"], facts["beside"] = plan.drips, plan.beside
    with running(gateway, bench.coze_port, TRUSTED_PROXIES="1") as server, ExitStack() as stack:
        ways = {"bare": server.port}
        try:
            ways["nginx"] = stack.enter_context(nginx(gateway.folder, server.port))
        except FileNotFoundError:
            bench.results.notes.append("nginx is not installed: nothing was measured behind it")
        for way, port in ways.items():
            found = bystanders.probe(port, plan.drips, plan.drip_seconds)
            facts[f"drip.{way}.asked"] = found.asked
            facts[f"drip.{way}.answered"] = found.answered
            facts[f"drip.{way}.slowest"] = found.slowest_ms
        bystanders.wechat_beside_streams(bench, server)
        if plan.deaf_seconds:
            cut = {way: bystanders.deaf(port, plan.deaf_seconds) for way, port in ways.items()}
            gateway.failures += len(cut)
            for way, outcome in cut.items():
                after = outcome()
                facts[f"deaf.{way}"] = -plan.deaf_seconds if after is None else after


def _contestants(stack: ExitStack, folder: Path, server: str) -> Iterator[Contestant]:
    def database(name: str) -> str:
        return stack.enter_context(scratch.postgres(server, name))

    yield Contestant(GATEWAY, "gateway", folder / "gateway", database("gateway"))
    yield Contestant(EMBEDDED, "gateway", folder / "embedded", scratch.sqlite(folder))
    yield Contestant(PASS_THROUGH, "pass_through", folder / "pass-through", wechat=False)
    if not PEERS_PYTHON.exists():
        _say("no .venv-bench: nothing to compare with; `make bench` makes it")
        return
    spaced = '"type": "done"'
    yield Contestant(PEER_ROWS, "peer", folder / "peer", database("peer"), PEERS_PYTHON, spaced)
    yield Contestant(PEER, "peer", folder / "peer-no-row", None, PEERS_PYTHON, spaced)


@contextmanager
def _own_postgres(folder: Path) -> Iterator[str]:
    from tests.faults.postgres import Postgres, programs

    if programs() is None:
        raise SystemExit("PostgreSQL is needed: install its server, or name one by --postgres")
    (folder / "postgres").mkdir()
    with Postgres(folder / "postgres") as server:
        yield server.url


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
