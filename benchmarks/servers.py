"""What is measured: the upstream, the gateway as production runs it (behind nginx, too), its libraries alone,
and its peer."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url

from benchmarks import questions, scratch
from benchmarks.native import built
from benchmarks.processes import Family

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
WORKERS = 2
Command = list[str | Path]
COZE = {"COZE_API_TOKEN": "pat_bench9Kx2Lm4Qr8", "COZE_BOT_ID": "7000000000000000001"}


@dataclass
class Contestant:
    """One way to serve, with the database that stays over its starts."""

    name: str
    kind: str
    """`gateway`, `peer` or `pass_through`."""
    folder: Path
    database_url: str | None = None
    python: Path = Path(sys.executable)
    done: str = '"type":"done"'
    """What its last frame of a stream contains."""
    wechat: bool = True
    """Whether WeChat can call it."""
    replies: int = 0
    """Complete answers that its readers have got so far: each must be a row."""
    failures: int = 0
    """Questions without a complete answer: they may have left a row as well."""
    starts: list[float] = field(default_factory=list)
    """Seconds from each start to the first answer."""
    idle: list[int] = field(default_factory=list)
    """Resident bytes of a worker that has not been asked yet."""
    together: list[int] = field(default_factory=list)
    """Bytes of all its processes then, shared ones counted once."""


@dataclass(frozen=True, slots=True)
class Running:
    """A contestant that takes requests now."""

    contestant: Contestant
    port: int
    family: Family


@contextmanager
def upstream() -> Iterator[int]:
    """Coze's part; yields its port."""
    process = subprocess.Popen([built("upstream")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def running(contestant: Contestant, coze_port: int, **extra: str) -> Iterator[Running]:
    """Starts it, waits for its first answer, and ends it; `extra` are settings."""
    port = free_port()
    settings = {"COZE_API_BASE": f"http://127.0.0.1:{coze_port}", **COZE, **_wechat(), **extra}
    command = {"gateway": _gateway, "peer": _peer, "pass_through": _pass_through}[contestant.kind]
    with ExitStack() as stack:
        output = stack.enter_context((contestant.folder / f"{contestant.kind}.log").open("ab"))
        begun = time.monotonic()
        arguments, environment = command(contestant, port)
        environment = {**settings, **environment}
        family = stack.enter_context(Family(arguments, contestant.folder, environment, output))
        wait_until_alive(port, family, contestant.folder)
        contestant.starts.append(time.monotonic() - begun)
        # every worker is there: the first answer came from any of them
        _wait_for_workers(family)
        contestant.idle.append(family.largest_worker())
        contestant.together.append(family.together())
        yield Running(contestant, port, family)


@contextmanager
def nginx(folder: Path, gateway_port: int) -> Iterator[int]:
    """nginx with our configuration, without TLS, before the gateway; yields its port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise FileNotFoundError("nginx")
    port, other = free_port(), free_port()
    text = (ROOT / "deploy/nginx.conf").read_text()
    for old, new in {
        r"pid /run/nginx\.pid;": f"pid {folder}/nginx.pid;",
        r"worker_processes auto;": "worker_processes 1;\nuser root;",
        r"worker_rlimit_nofile 65536;": "",
        r"server 127\.0\.0\.1:8000;": f"server 127.0.0.1:{gateway_port};",
        r"listen 80 default_server;": f"listen 127.0.0.1:{other};",
        # what the kernel takes of an answer is not nginx's to cut: by itself, on loopback, all of it
        r"listen 443 ssl http2;": f"listen 127.0.0.1:{port} sndbuf=64k;",
        r"ssl_\w+ [^;]*;": "",
        r"/var/log/nginx": str(folder),
        r"default_type application/octet-stream;": "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
    }.items():
        text, times = re.subn(old, new, text)
        assert times, old
    path = folder / "nginx.conf"
    path.write_text(text)
    with (folder / "nginx.log").open("ab") as output:
        command: Command = [program, "-c", path, "-p", folder, "-g", "daemon off;"]
        with Family(command, folder, {}, output) as family:
            wait_until_alive(port, family, folder)
            yield port


def get(port: int, path: str, headers: Mapping[str, str] | None = None, timeout: float = 10) -> bytes:
    """The body of a GET; raises `OSError` or `HTTPException` unless the status is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise http.client.HTTPException(f"{path}: {response.status}")
        return body
    finally:
        connection.close()


def wait_until_alive(port: int, family: Family, folder: Path) -> None:
    """Returns with the first good answer of /healthz. Raises `RuntimeError` with the end of the log."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            get(port, "/healthz", timeout=5)
            return
        except (OSError, http.client.HTTPException):
            if family.process.poll() is not None or time.monotonic() > deadline:
                logs = "\n".join(each.read_text(errors="replace")[-2000:] for each in folder.glob("*.log"))
                raise RuntimeError(f"a server did not start:\n{logs}") from None
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepared(contestant: Contestant) -> Contestant:
    """The same, with its tables made."""
    contestant.folder.mkdir(parents=True, exist_ok=True)
    if contestant.database_url:
        scratch.prepare(contestant.kind, contestant.database_url)
    return contestant


def _gateway(contestant: Contestant, port: int) -> tuple[Command, dict[str, str]]:
    command: Command = [
        contestant.python,
        "-m",
        "gunicorn",
        "-c",
        ROOT / "deploy/gunicorn.conf.py",
        "wsgi:app",
    ]
    return command, {
        "APP_ENV": "production",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": str(WORKERS),
        "DATABASE_URL": contestant.database_url or "",
        "SPOOL_DIR": str(contestant.folder / "spool"),
        "AGENT_SECRET": "for-the-measurement-alone-0123456789",
        "API_KEYS": f"bench:{questions.API_KEY}:chat+log",
        "WECHAT_ORIGINAL_ID": questions.WECHAT_ORIGINAL_ID,
        # what the peer says, word for word
        "WECHAT_AI_LINE": "false",
        "PYTHONPATH": str(ROOT),
    }


def _pass_through(contestant: Contestant, port: int) -> tuple[Command, dict[str, str]]:
    command, environment = _gateway(contestant, port)
    return [*command[:-1], "benchmarks.pass_through:app"], environment


def _peer(contestant: Contestant, port: int) -> tuple[Command, dict[str, str]]:
    command: Command = [contestant.python, "-m", "uvicorn", "peer:app", "--app-dir", ROOT / "benchmarks"]
    command += ["--port", str(port), "--workers", str(WORKERS), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning"]
    environment = {"PEER_API_KEY": questions.API_KEY}
    if contestant.database_url:
        url = make_url(contestant.database_url).set(drivername="postgresql+asyncpg")
        environment["PEER_DATABASE_URL"] = url.render_as_string(hide_password=False)
    return command, environment


def _wechat() -> dict[str, str]:
    return {
        "WECHAT_TOKEN": questions.WECHAT_TOKEN,
        "WECHAT_APPID": questions.WECHAT_APPID,
        "WECHAT_AES_KEY": questions.WECHAT_AES_KEY,
    }


def _wait_for_workers(family: Family) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        before = family.cpu()
        time.sleep(0.1)
        if len(family.pids()) > WORKERS and family.cpu() - before < 0.02:
            return
