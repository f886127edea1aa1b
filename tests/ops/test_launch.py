"""One command starts everything, says plainly what hinders it, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask, jsonify

from ops import launch
from ops.launch import CannotStart, Child, Port, Stop, banner, check_free, needed_ports, readiness, up
from sandbox.serve import Server
from settings import DEVELOPMENT_KEY, Settings, load_settings

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
PRODUCTION = {
    "app_env": "production",
    "agent_secret": "a-long-enough-secret-of-the-agents",
    "coze_api_token": "pat_0123456789abcdef",
    "coze_bot_id": "7",
    "wechat_token": "0123456789abcdef",
    "wechat_appid": "wx0123456789abcdef",
    "wechat_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
}


@contextmanager
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return numbers


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        # one that ended and was not yet collected still has a number
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_a_taken_port_is_told_in_one_sentence_with_the_way_out() -> None:
    with taken() as number:
        with pytest.raises(CannotStart) as caught:
            check_free(Port("SANDBOX_COZE_PORT", "127.0.0.1", number))
        assert f"Port {number} is taken" in caught.value.message
        assert f"SANDBOX_COZE_PORT={number + 10} make run" in caught.value.message
        assert "\n" not in caught.value.message
    check_free(Port("SANDBOX_COZE_PORT", "127.0.0.1", number))


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(CannotStart, match=r"HOST=192\.0\.2\.1 is not an address of this machine"):
        check_free(Port("PORT", "192.0.2.1", 8000))


def test_the_command_ends_with_status_1_when_a_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with taken() as number:
        monkeypatch.setenv("PORT", str(number))
        result = CliRunner().invoke(up)
    assert result.exit_code == 1
    assert result.output == (
        f"Port {number} is taken: stop what listens there, or choose another, "
        f"for example `PORT={number + 10} make run`.\n"
    )


def test_settings_that_cannot_work_are_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    result = CliRunner().invoke(up)
    assert result.exit_code == 1
    assert "COZE_API_TOKEN is missing" in result.output


def test_a_database_that_cannot_be_prepared_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports = dict(zip(("PORT", "SANDBOX_COZE_PORT", "SANDBOX_WECHAT_PORT"), free_ports(3), strict=True))
    for name, number in ports.items():
        monkeypatch.setenv(name, str(number))
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://me:canary@127.0.0.1:9/yingda")
    result = CliRunner().invoke(up)
    assert result.exit_code == 1
    assert "The database cannot be prepared" in result.output
    assert "canary" not in result.output


def test_the_sandbox_starts_only_where_nothing_real_is_set() -> None:
    assert list(launch.commands(load_settings())) == ["sandbox", "gateway"]
    assert [port.variable for port in needed_ports(load_settings())] == [
        "PORT",
        "SANDBOX_COZE_PORT",
        "SANDBOX_WECHAT_PORT",
    ]
    real = load_settings(**PRODUCTION)
    assert list(launch.commands(real)) == ["gateway"]
    assert [port.variable for port in needed_ports(real)] == ["PORT"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("10.0.0.1", "http://10.0.0.1:80"),
    ],
)
def test_the_address_to_open_is_one_that_can_be_opened(host: str, url: str) -> None:
    assert Port("PORT", host, 80).url == url


def test_the_banner_gives_three_commands_that_fit_the_settings() -> None:
    def commands(settings: Settings) -> str:
        return banner(settings, needed_ports(settings), "")

    development = commands(load_settings())
    assert development.count("curl ") == 3
    assert f"Bearer {DEVELOPMENT_KEY}" in development
    assert "sandbox" in development
    real = commands(load_settings(**PRODUCTION, yishiting_token="canary-0123456789"))
    assert DEVELOPMENT_KEY not in real
    assert "canary" not in real
    assert "sandbox" not in real


def test_what_is_not_ready_yet_is_said_with_its_causes() -> None:
    app = Flask("gateway")
    causes = {"database": "away", "coze": "ok"}

    def ready() -> object:
        missing = any(state != "ok" for state in causes.values())
        return jsonify(checks=causes), 503 if missing else 200

    app.add_url_rule("/readyz", "ready", ready)
    with Server(app) as server:
        port = Port("PORT", "127.0.0.1", int(server.url.rpartition(":")[2]))
        assert readiness(port) == "database: away"
        causes["database"] = "ok"
        assert readiness(port) == ""
    assert readiness(port) == "the gateway does not answer"


def test_stopping_a_child_ends_its_own_children_too(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    head = textwrap.dedent(
        f"""
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(note)!r}, "w").write(f"{{os.getpid()}} {{worker.pid}}.")
        time.sleep(60)
        """
    )
    child = Child("gateway", [PYTHON, "-c", head])
    assert until(lambda: note.exists() and note.read_text().endswith("."))
    pids = [int(each) for each in note.read_text().rstrip(".").split()]
    assert all(map(alive, pids))
    child.stop(0.3, Stop())
    assert until(lambda: not any(map(alive, pids)))


FAKES = """
import sys
sys.path.insert(0, {root!r})
from ops import launch
from sandbox.serve import Server

GATEWAY = '''
import os, sys
from flask import Flask
sys.path.insert(0, {root!r})
from sandbox.serve import Server
app = Flask("gateway")
app.add_url_rule("/readyz", "ready", lambda: {{"checks": {{}}}})
app.add_url_rule("/die", "die", lambda: os._exit(7))
with Server(app, port={gateway}) as server:
    print("gateway", os.getpid(), flush=True)
    server.wait()
'''
SANDBOX = '''
import os, socket, time
kept = [socket.create_server(("127.0.0.1", number)) for number in ({coze}, {wechat})]
print("sandbox", os.getpid(), flush=True)
time.sleep(60)
'''
launch.commands = lambda settings: {{
    "sandbox": [sys.executable, "-c", SANDBOX],
    "gateway": [sys.executable, "-c", GATEWAY],
}}
launch.up()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], Path, int]]]:
    """Starts `up` with stand-in children; gives the process, the file it prints to, and its port."""
    started: list[subprocess.Popen[str]] = []

    def run() -> tuple[subprocess.Popen[str], Path, int]:
        gateway, coze, wechat = free_ports(3)
        printed = tmp_path / "printed"
        code = FAKES.format(root=str(ROOT), gateway=gateway, coze=coze, wechat=wechat)
        variables = {
            "PORT": str(gateway),
            "SANDBOX_COZE_PORT": str(coze),
            "SANDBOX_WECHAT_PORT": str(wechat),
            "DATABASE_URL": f"sqlite:///{tmp_path}/up.db",
        }
        with printed.open("w") as out:
            started.append(
                subprocess.Popen(
                    [PYTHON, "-c", code], stdout=out, stderr=out, text=True, env=os.environ | variables
                )
            )
        return started[0], printed, gateway

    yield run
    for process in started:
        process.kill()
        process.wait()


def pids_in(printed: Path) -> list[int]:
    return [int(pid) for pid in re.findall(r"^(?:gateway|sandbox) (\d+)$", printed.read_text(), re.MULTILINE)]


def test_one_signal_stops_everything(
    start: Callable[[], tuple[subprocess.Popen[str], Path, int]], tmp_path: Path
) -> None:
    process, printed, port = start()
    assert until(lambda: "Ctrl-C stops everything." in printed.read_text()), printed.read_text()
    assert f"http://127.0.0.1:{port}" in printed.read_text()
    assert (tmp_path / "up.db").exists()
    pids = pids_in(printed)
    assert len(pids) == 2
    assert all(map(alive, pids))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert printed.read_text().endswith("Stopped.\n")
    assert not any(map(alive, pids))


def test_a_child_that_dies_ends_the_rest_with_its_reason(
    start: Callable[[], tuple[subprocess.Popen[str], Path, int]],
) -> None:
    process, printed, port = start()
    assert until(lambda: "Ctrl-C stops everything." in printed.read_text()), printed.read_text()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /die HTTP/1.1\r\nHost: x\r\n\r\n")
        assert process.wait(60) == 1
    assert "The gateway ended with status 7; its last lines above say why." in printed.read_text()
    assert not any(map(alive, pids_in(printed)))


if sys.platform == "linux":

    def test_killing_the_launcher_leaves_no_orphan(
        start: Callable[[], tuple[subprocess.Popen[str], Path, int]],
    ) -> None:
        process, printed, _ = start()
        assert until(lambda: "Ctrl-C stops everything." in printed.read_text()), printed.read_text()
        pids = pids_in(printed)
        process.kill()
        process.wait()
        assert until(lambda: not any(map(alive, pids)))
