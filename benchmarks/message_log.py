"""How fast the message log answers: `python -m benchmarks.message_log --rows 1000000 --url sqlite:///var/bench.db`.

Fills the database up to `--rows` made-up messages (a scratch database: never a real one), then asks each
kind of question several times and prints the median and the 95th percentile in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from storage import schema
from storage.db import Database
from storage.log import Filters, MessageLog, Position
from storage.seed import DAY_MS, refresh_statistics, seed

Question = tuple[str, Callable[[], Any]]


def questions(log: MessageLog) -> Sequence[Question]:
    """What is asked: numbered pages first, then cursors, filters and text."""
    newest = log.after(Filters(), None, 1).rows[0]
    total = log.page(Filters(platform="wechat"), 1, 1).total
    wechat = Filters(platform="wechat")
    user = log.after(wechat, None, 1).rows[0].user_id
    week = Filters(platform="wechat", start_ms=newest.created_ms - 7 * DAY_MS)
    middle = Position(newest.created_ms - 15 * DAY_MS, 2**62)
    return (
        ("page 1 of WeChat, total counted anew", lambda: MessageLog(log.db).page(wechat, 1, 20)),
        ("page 1 of WeChat, total", lambda: log.page(wechat, 1, 20)),
        ("page in the middle, total", lambda: log.page(wechat, max(1, total // 40), 20)),
        ("last page, total", lambda: log.page(wechat, max(1, total // 20), 20)),
        ("page 1 of one customer, total", lambda: log.page(Filters(platform="wechat", user=user), 1, 20)),
        ("page 1 of one week, total", lambda: log.page(week, 1, 20)),
        ("newest 20", lambda: log.after(Filters(), None, 20)),
        ("20 from the middle by cursor", lambda: log.after(Filters(), middle, 20)),
        ("200 from the middle by cursor", lambda: log.after(Filters(), middle, 200)),
        ("undelivered", lambda: log.after(Filters(status="undelivered"), None, 20)),
        (
            "answered by an agent, on the web",
            lambda: log.after(Filters(source="agent", platform="web"), None, 20),
        ),
        ("failed", lambda: log.after(Filters(failed=True), None, 20)),
        ("an error code nobody has", lambda: log.after(Filters(error="none_such"), None, 20)),
        ("text that is common", lambda: log.after(Filters(text="居住证"), None, 20)),
        ("text nobody wrote, one step", lambda: log.after(Filters(text="no such words"), None, 20)),
        (
            "the same on WeChat, from the middle",
            lambda: log.after(Filters("wechat", text="nowhere"), middle, 20),
        ),
    )


def measure(ask: Callable[[], Any], times: int) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20, method="inclusive")[-1]


def fill(db: Database, rows: int) -> None:
    """Seeds what is missing."""
    log = MessageLog(db)
    missing = rows - log.page(Filters(), 1, 1).total
    if missing <= 0:
        return
    start, done = time.monotonic(), 0

    def progress(added: int) -> None:
        nonlocal done
        done += added
        print(f"\rseeding {done:,} of {missing:,}, {time.monotonic() - start:.0f} s", end="", file=sys.stderr)

    seed(db, missing, progress=progress)
    print(file=sys.stderr)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--url", required=True, help="SQLAlchemy URL of a scratch database")
    options.add_argument("--times", type=int, default=20, help="how often each question is asked")
    chosen = options.parse_args()
    schema.upgrade(chosen.url)
    db = Database(chosen.url)
    fill(db, chosen.rows)
    refresh_statistics(db)
    log = MessageLog(db)
    print(f"| {db.dialect}, {log.page(Filters(), 1, 1).total:,} rows | p50 ms | p95 ms |\n|---|---:|---:|")
    for name, ask in questions(log):
        median, late = measure(ask, chosen.times)
        print(f"| {name} | {median:.1f} | {late:.1f} |", flush=True)
    db.close()


if __name__ == "__main__":
    main()
