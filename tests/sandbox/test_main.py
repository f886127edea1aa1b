"""`python -m sandbox` as a process: what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


class Sandbox:
    """The running process."""

    def __init__(self, coze: int, wechat: int, **environ: str) -> None:
        self.coze, self.wechat = coze, wechat
        ports = {"SANDBOX_COZE_PORT": str(coze), "SANDBOX_WECHAT_PORT": str(wechat)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": "8765", **ports, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self, count: int) -> list[str]:
        assert self.process.stdout
        return [self.process.stdout.readline().strip() for _ in range(count)]


@pytest.fixture
def started() -> Iterator[Sandbox]:
    sandbox = Sandbox(*free_ports())
    yield sandbox
    sandbox.process.kill()
    sandbox.process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_both_until_it_is_told_to_stop(started: Sandbox, ending: signal.Signals) -> None:
    assert started.lines(3) == [
        f"local Coze: http://127.0.0.1:{started.coze}",
        f"local WeChat: http://127.0.0.1:{started.wechat}",
        "local WeChat calls back http://127.0.0.1:8765/api/wechat",
    ]
    inbox = requests.get(f"http://127.0.0.1:{started.wechat}/_sandbox/inbox?openid=o", timeout=5)
    assert inbox.json() == {"bubbles": []}
    started.process.send_signal(ending)
    _, complaints = started.process.communicate(timeout=10)
    assert (started.process.returncode, complaints) == (0, "")


def test_a_taken_port_is_named_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sandbox = Sandbox(free_ports()[0], port)
        _, complaint = sandbox.process.communicate(timeout=60)
    assert sandbox.process.returncode == 1
    assert str(port) in complaint
    assert "SANDBOX_WECHAT_PORT" in complaint
    assert "Traceback" not in complaint


def test_bad_settings_are_named() -> None:
    sandbox = Sandbox(*free_ports(), WECHAT_ACCOUNT_KIND="perhaps")
    _, complaint = sandbox.process.communicate(timeout=60)
    assert sandbox.process.returncode == 2
    assert "WECHAT_ACCOUNT_KIND" in complaint
    assert "Traceback" not in complaint
