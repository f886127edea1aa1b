"""What a process loads when it starts, and what only when it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PARENT = """
import json, runpy, sys, types
from gevent import monkey
conf = runpy.run_path("deploy/gunicorn.conf.py")
from gunicorn.workers.gthread import ThreadWorker
worker_class = conf["worker_class"] if sys.argv[1] == "gevent" else ThreadWorker
conf["on_starting"](types.SimpleNamespace(worker_class=worker_class))
asked = ("socket.socket", "ssl.SSLContext", "threading.Event", "select.poll",
         "os.fork", "os.waitpid", "time.sleep", "signal.signal", "queue.SimpleQueue")
patched = [each for each in asked if monkey.is_object_patched(*each.split("."))]
print(json.dumps({"patched": patched, "modules": sorted(sys.modules)}))
"""
WORKER = """
import json, sys
from app import create_app
create_app()
print(json.dumps({"modules": sorted(sys.modules)}))
"""
SELDOM = {
    "alembic",
    "jwt",
    "openpyxl",
    "ops.doctor",
    "psycopg",
    "pymysql",
    "rapidfuzz",
    "regex",
    "sandbox",
    "sqlalchemy.dialects.mysql",
    "support.agents_cli",
    "wechatpy",
}


def loaded(program: str, folder: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    environment = {
        "PATH": os.environ["PATH"],
        "APP_ENV": "production",
        "AGENT_SECRET": "s" * 32,
        "API_KEYS": "page:a-long-enough-secret-key:chat",
        "COZE_API_TOKEN": "pat_0123456789abcdef",
        "COZE_BOT_ID": "7000000000000000001",
        "DATABASE_URL": f"sqlite:///{folder}/yingda.db",
        **settings,
    }
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=50
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_worker_loads_nothing_that_its_settings_do_not_ask_for(tmp_path: Path) -> None:
    modules = set(loaded(WORKER, tmp_path)["modules"])
    assert "sqlalchemy.dialects.sqlite" in modules
    assert not SELDOM & modules


def test_a_worker_loads_what_its_settings_ask_for(tmp_path: Path) -> None:
    wechat = {
        "WECHAT_TOKEN": "token0123456789ab",
        "WECHAT_APPID": "wx0123456789abcdef",
        "WECHAT_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    }
    url = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    modules = set(loaded(WORKER, tmp_path, DATABASE_URL=url, **wechat)["modules"])
    assert {"psycopg", "wechatpy"} <= modules
    assert "sqlalchemy.dialects.sqlite" not in modules


@pytest.mark.parametrize("url", ["", "postgresql+psycopg://nobody@127.0.0.1:1/nothing"])
def test_the_parent_shares_libraries_and_no_code_of_ours(tmp_path: Path, url: str) -> None:
    found = loaded(PARENT, tmp_path, "gevent", **({"DATABASE_URL": url} if url else {}))
    modules = set(found["modules"])
    assert {"sqlalchemy.orm", "requests", "flask", "markdown_it"} <= modules
    assert ("psycopg" in modules) == bool(url)
    # a reload has to bring the code that is there then
    assert not {"wsgi", "app", "parts"} & modules
    assert not [each for each in modules if each.startswith(("adapters", "coze", "handler", "storage"))]
    # what the libraries need; nothing that the parent's own loop works with
    assert found["patched"] == ["socket.socket", "ssl.SSLContext", "threading.Event", "select.poll"]


def test_the_parent_of_threaded_workers_stays_as_it_is(tmp_path: Path) -> None:
    found = loaded(PARENT, tmp_path, "gthread")
    assert found["patched"] == []
    assert "sqlalchemy.orm" not in found["modules"]
