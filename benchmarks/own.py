"""The workloads of the gateway alone: S4, the message log, and S5, an answer from the Q&A library."""

from __future__ import annotations

import random
import time
from pathlib import Path

from sqlalchemy import select, update

from benchmarks import bystanders, library, message_log, questions
from benchmarks.questions import API_KEY
from benchmarks.results import MB
from benchmarks.servers import Contestant, get, prepared, running
from benchmarks.workloads import USERS, Bench, closed_loop
from handler.library import Draft
from storage.db import Database
from storage.library import Change, Library
from storage.log import Filters, MessageLog
from storage.models import DialogueSession, Exchange

TIMES = 10
"""How often each question to the log is asked."""
COMMITS = 200


def s4(bench: Bench, folder: Path, url: str) -> None:
    """Pages over many messages, and the memory that an export takes."""
    plan, facts = bench.plan, bench.results.facts
    gateway = prepared(Contestant("message log", "gateway", folder, url))
    db = Database(url)
    message_log.fill(db, plan.log_rows)
    log = MessageLog(db)
    pages = [message_log.measure(ask, TIMES) for _, ask in message_log.questions(log)]
    facts["log.rows"] = log.page(Filters(), 1, 1).total
    facts["log.slowest_p50"] = max(median for median, _ in pages)
    facts["log.slowest_p95"] = max(late for _, late in pages)
    with db.read() as session:
        newest = select(Exchange.created_ms).order_by(Exchange.created_ms.desc())
        start_ms = session.scalar(newest.offset(plan.export_rows).limit(1)) or 0
    db.close()
    with running(gateway, bench.coze_port) as server:
        server.family.forget_peak()
        path = f"/api/messages?format=jsonl&start={start_ms // 1000}"
        body = get(server.port, path, {"Authorization": f"Bearer {API_KEY}"}, timeout=120)
        facts["export.rows"] = body.count(b"\n")
        # the process that wrote it: the others only wait
        facts["export.mb"] = server.family.largest_peak() / MB


def s5(bench: Bench, gateway: Contestant) -> None:
    """A question that the library answers, beside a request that does nothing and two commits."""
    rng = random.Random(20261121)
    drafts = [library.draft(number, rng) for number in range(bench.plan.library_entries)]
    exact = [each for each in drafts if each.mode == "exact"]
    asked = library.hits_of(exact, 1_000, rng)
    assert gateway.database_url is not None
    db = Database(gateway.database_url)
    Library(db).rewrite(lambda _known: [Change(each) for each in _distinct(drafts)], "bench")
    with running(gateway, bench.coze_port) as server:
        closed_loop(bench, [server], "S5", questions.web_of("/api/chat", asked, USERS))
        bench.results.facts[f"S5.empty {gateway.name}"] = bystanders.health_rate(server, bench)
    bench.results.facts[f"S5.commits {gateway.name}"] = 2 * commit_ms(db)
    db.close()


def commit_ms(db: Database) -> float:
    """Milliseconds of CPU of a transaction that changes one row, in a process without greenlets."""
    with db.read() as session:
        number = session.scalar(select(DialogueSession.id).limit(1))
    change = update(DialogueSession).where(DialogueSession.id == number)
    for warm in (True, False):
        begun = time.process_time()
        for _ in range(10 if warm else COMMITS):
            with db.write() as session:
                session.execute(change.values(updated_ms=time.time_ns() // 1_000_000))
    return (time.process_time() - begun) / COMMITS * 1000


def _distinct(drafts: list[Draft]) -> list[Draft]:
    """Without those that another one answers already: the library refuses them."""
    kept: list[Draft] = []
    seen: set[str] = set()
    for each in drafts:
        if seen.isdisjoint(each.phrasings):
            kept.append(each)
            seen.update(each.phrasings)
    return kept
