"""A whole installation for one run of the desk: two gateways as production starts them, on one database.

The agents work on different gateways, each of one worker process. That they are two workers is no matter of
luck with which one takes a connection: each has its own port, and `workers` reads their process ids from the
kernel. What one agent sees of the other's doing came through the database, and through nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat
from sandbox.wechat import create_app as create_wechat
from settings import load_settings
from storage import schema
from storage.audit import By
from storage.db import Database
from support.people import People
from tests.deploy.served import ROOT, free_port, is_ready, until
from tests.support.accounts.conftest import HASH

TOKEN = "a-token-for-the-desk-run"
AES_KEY = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A"
FAILURES = 2
"""Failed answers in a row that call a person."""
AGENTS = {"wang": "小王", "li": "小李"}


@dataclass
class Gateway:
    """One gunicorn of one worker."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def workers(self) -> list[int]:
        """Process ids of its workers, from the kernel."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(each) for each in children.read_text().split()]


@dataclass
class Installation:
    """Coze, WeChat and its API, a database, and each agent's own gateway by their username."""

    coze: LocalCoze
    wechat: LocalWeChat
    api: str
    db: Database
    gateways: dict[str, Gateway]


@contextmanager
def installed(folder: Path, database_url: str) -> Iterator[Installation]:
    """Starts everything, with the accounts of both agents; ends it all when the block is left."""
    with ExitStack() as stack:
        schema.upgrade(database_url)
        db = Database(database_url)
        stack.callback(db.close)
        coze = LocalCoze(pace=0.005)
        wechat = LocalWeChat("", token=TOKEN, aes_key=AES_KEY, verified=True)
        upstream = stack.enter_context(Server(create_coze(coze))).url
        api = stack.enter_context(Server(create_wechat(wechat))).url
        people = People(load_settings(app_env="development", database_url=database_url), db)
        for username, name in AGENTS.items():
            known = {"username": username, "name": name, "role": "agent"}
            people.agents.add(By("test"), **known, password_hash=HASH, max_sessions=5)
        gateways = {
            username: stack.enter_context(_served(folder / username, database_url, upstream, api, wechat))
            for username in AGENTS
        }
        wechat.callback_url = f"{gateways['wang'].url}/api/wechat"
        yield Installation(coze, wechat, api, db, gateways)


@contextmanager
def _served(
    folder: Path, database_url: str, coze_url: str, api: str, wechat: LocalWeChat
) -> Iterator[Gateway]:
    folder.mkdir()
    port = free_port()
    settings = {
        "APP_ENV": "development",
        "PORT": str(port),
        "WORKERS": "1",
        "DATABASE_URL": database_url,
        "SPOOL_DIR": str(folder / "spool"),
        "COZE_API_BASE": coze_url,
        "COZE_API_TOKEN": "pat_yingda-sandbox",
        "COZE_BOT_ID": "7000000000000000001",
        "WECHAT_TOKEN": wechat.token,
        "WECHAT_APPID": wechat.appid,
        "WECHAT_APPSECRET": wechat.appsecret,
        "WECHAT_AES_KEY": AES_KEY,
        "WECHAT_ACCOUNT_KIND": "verified",
        "WECHAT_API_BASE": api,
        "REGULATOR_FAIL_THRESHOLD": str(FAILURES),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy/gunicorn.conf.py"), "wsgi:app"]
    log = folder / "gateway.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], **settings},
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: is_ready(url), seconds=120)
            yield Gateway(url, process)
        finally:
            # its whole group: the worker must not outlive the test
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
