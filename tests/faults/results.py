"""The table of kept promises: tests add rows to a file, and a run ends with the table in docs/reliability.md.

`python -m tests.faults.results '<command>'` writes the table of the rows that were collected since the last
time, with the machine they were collected on. It fails when a row says that something was lost or said
twice: a test that is run again adds a second row and takes none away.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from tests.faults.invariants import Tally

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "var/promises.jsonl"
PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
HEAD = (
    "promise",
    "on",
    "seed",
    "sent",
    "deliveries",
    "faults",
    "lost",
    "twice",
    "in doubt",
    "cut",
    "notices",
    "s",
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one test of the fault suite tried, and what came of it."""

    promise: str
    setting: str
    """Database, strategy, crash point: whatever tells this row from its neighbours."""
    seed: int | None
    sent: int
    deliveries: int | None = None
    faults: int = 0
    """Kills, crashes, restarts; of a power cut, the copies that were looked at."""
    lost: int = 0
    duplicated: int = 0
    in_doubt: int = 0
    cut: int = 0
    """Answers that died on their way to the last delivery; the customer saw the notice."""
    notices: int = 0
    seconds: float | None = None


def row(
    promise: str, setting: str, counted: Tally, faults: int, seconds: float, seed: int | None = None
) -> Row:
    return Row(
        promise,
        setting,
        seed,
        counted.sent,
        counted.tries,
        faults,
        counted.lost,
        counted.duplicated,
        counted.in_doubt,
        counted.cut,
        counted.notices,
        round(seconds, 1),
    )


def collect(one: Row) -> None:
    """Adds a row; tests of several processes may do so at once."""
    ROWS.parent.mkdir(exist_ok=True)
    line = json.dumps(asdict(one), ensure_ascii=False) + "\n"
    with ROWS.open("a", encoding="utf-8") as file:
        file.write(line)


def collected() -> list[Row]:
    rows = [Row(**json.loads(line)) for line in ROWS.read_text("utf-8").splitlines()] if ROWS.exists() else []
    return sorted(rows, key=lambda each: (each.promise, each.setting, each.seed or 0))


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * 3}{'---:|' * (len(HEAD) - 3)}"]
    for each in rows:
        cells = ["" if value is None else str(value) for value in asdict(each).values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(rows: list[Row], command: str) -> str:
    """The table with what one must know to get it again."""
    parts = ", ".join(f"{name} {version(name)}" for name in ("gunicorn", "gevent", "SQLAlchemy", "Flask"))
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    when = time.strftime("%Y-%m-%d")
    sent, faults = sum(each.sent for each in rows), sum(each.faults for each in rows)
    lost, twice = sum(each.lost for each in rows), sum(each.duplicated for each in rows)
    return (
        f"`{command}`, {when}, {machine}, {parts}, SQLite {sqlite3.sqlite_version}.\n\n{table(rows)}\n\n"
        f"Together: {sent:,} messages, {faults:,} faults, {lost} lost, {twice} given twice."
    )


def write(command: str) -> str:
    """Puts the report between the page's markers and returns it."""
    text = report(collected(), command)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")
    return text


def broken(rows: list[Row]) -> bool:
    """Whether a promise was broken, in whichever try of its test."""
    return any(each.lost or each.duplicated for each in rows)


if __name__ == "__main__":
    print(write(sys.argv[1]))  # noqa: T201 - what the command is for
    sys.exit(broken(collected()))
