"""The measurement measures: real servers, real requests, and figures that nobody judges here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.postgres import programs

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = os.environ.get("YINGDA_TEST_POSTGRES_URL", "")
PEER = (ROOT / ".venv-bench/bin/python").exists()

pytestmark = [
    pytest.mark.slow,
    # two dozen servers start, one after the other, and a busy machine takes its time for each
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler"),
    pytest.mark.skipif(not (POSTGRES or programs()), reason="no PostgreSQL"),
]


def test_every_workload_gives_figures_and_each_reply_a_row(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/log.db"
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--postgres", POSTGRES, "--log-url", database]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=880)

    assert done.returncode == 0, done.stderr
    servers = ["gateway, PostgreSQL", "gateway, SQLite", *(["peer + row", "peer, no row"] if PEER else [])]
    for workload in ("S1", "S3", "5"):
        # the libraries alone know nothing of WeChat
        for server in [*servers, *(["libraries alone"] if workload != "S3" else [])]:
            line = rf"^\| {workload} \| {re.escape(server)} \| (.*) \|$"
            found = re.search(line, done.stdout, re.MULTILINE)
            assert found, done.stdout
            # the first figure is answers a second, or CPU for each of them
            assert float(found[1].split(" ")[0].replace(",", "")) > 0
    assert re.search(r"^\| S5 \| gateway, SQLite \|", done.stdout, re.M)
    assert "S4: export of" in done.stdout
    assert "dripping clients, itself" in done.stdout
    rows = re.findall(r"^- (.*): ([\d,]+) replies, ([\d,]+) rows with an answer$", done.stdout, re.M)
    assert {name for name, _, _ in rows} == set(servers) - {"peer, no row"}, done.stdout
