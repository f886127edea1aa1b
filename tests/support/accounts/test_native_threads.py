"""Hashing under gunicorn's greenlets: the configuration moves it to native threads, and the others go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
from gevent import monkey
monkey.patch_all()
import runpy, sys
from types import SimpleNamespace
import gevent
from gunicorn.config import Config
from support.passwords import Passwords

passwords = Passwords()
if sys.argv[1] == "configured":
    made = runpy.run_path("deploy/gunicorn.conf.py")
    worker = object.__new__(made["FairGeventWorker"])
    people = SimpleNamespace(passwords=passwords)
    worker.wsgi = SimpleNamespace(extensions={"yingda": SimpleNamespace(people=people)})
    worker.cfg = Config()
    made["post_worker_init"](worker)
    # settled: what is asked for with every request is found at once, and says what it said
    assert vars(worker.cfg)["keepalive"] == Config().keepalive

ticks = 0
def tick():
    global ticks
    while True:
        gevent.sleep(0.001)
        ticks += 1

gevent.spawn(tick)
gevent.sleep(0.01)
ticks = 0
hashed = passwords.hash("correct horse battery")
during = ticks
assert passwords.fits(hashed, "correct horse battery")
print(during)
"""


@pytest.mark.parametrize(("how", "goes_on"), [("configured", True), ("unconfigured", False)])
def test_others_have_their_turn_while_a_password_is_hashed(how: str, goes_on: bool, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "SPOOL_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    ticks = int(result.stdout.split()[-1])
    assert (ticks > 3) is goes_on, f"{ticks} turns"
