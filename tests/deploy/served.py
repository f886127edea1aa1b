"""The gateway under gunicorn, as production runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=2).ok
    except requests.RequestException:
        return False


@contextmanager
def gunicorn(database_url: str, coze_url: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A gateway of two workers as production runs it; its process and address."""
    port = free_port()
    environment = {
        "DATABASE_URL": database_url,
        "SPOOL_DIR": str(log.parent / "spool"),
        "PORT": str(port),
        "WORKERS": "2",
        "COZE_API_BASE": coze_url,
        "COZE_API_TOKEN": "pat_yingda-sandbox",
        "COZE_BOT_ID": "7000000000000000001",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "wsgi:app"]
    with log.open("wb") as written:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stderr=written)
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: is_ready(url))
            yield process, url
        finally:
            process.kill()
            process.wait()
