"""A whole installation for one test: Coze and WeChat in this process, the gateway as gunicorn runs it.

The gateway is two real worker processes behind one port, on a database of its own; they may be killed,
frozen and restarted. Leaving the `with` block ends everything.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal, Self, Unpack

from sqlalchemy import func, select

from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.coze.faults import read_directives
from sandbox.coze.state import Chat, Conversation
from sandbox.serve import Server
from sandbox.wechat import Knobs, LocalWeChat
from sandbox.wechat import create_app as create_wechat
from storage import schema
from storage.db import Database, now_ms
from storage.exchange_rows import UNFINISHED
from storage.models import Exchange, Job, Message
from storage.outbound_tables import Rest, Ride
from tests.faults.invariants import History, Sent

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-the-fault-suite"
START_SECONDS = 60.0
CROWD = 400
"""Customers that may wait for an answer at the same time."""
FETCHES = 20
"""Times that 继续 is sent at most; each brings one answer."""
ANSWER_SECONDS = 30
"""When a silent Coze is given up, in this suite: production waits longer, and a test should not."""
BUSY_JOBS = ("waiting", "running", "sending")

Strategy = Literal["hold", "push", "placeholder"]


class CountingCoze(LocalCoze):
    """The local Coze, with a count of what each question cost."""

    def __init__(self) -> None:
        super().__init__(pace=0.005)
        self.asked: Counter[str] = Counter()
        self.occupied = 0
        """How often a conversation was asked while a chat ran in it (code 4016)."""

    def add_chat(self, conversation: Conversation, chat: Chat) -> None:
        super().add_chat(conversation, chat)
        for message in conversation.messages:
            if message.chat_id == chat.id and message.role == "user":
                self.asked[read_directives(message.content)[0]] += 1

    def busy(self, conversation: Conversation) -> bool:
        busy = super().busy(conversation)
        self.occupied += busy
        return busy


class Cluster:
    """Two workers, one database, one Coze, one official account and its followers."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        strategy: Strategy = "hold",
        *,
        crash_at: str = "",
        without_guard: str = "",
    ) -> None:
        self.folder = folder
        self.marks = folder / "crashes"
        self.ready = folder / "ready"
        self.coze = CountingCoze()
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.wechat = LocalWeChat(f"{self.url}/api/wechat", token=TOKEN, verified=strategy == "push")
        self.strategy = strategy
        self.sent: list[Future[Sent]] = []
        self._database_url = database_url
        self._hooks = {"CRASH_AT": crash_at, "WITHOUT_GUARD": without_guard}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for each in (self.marks, self.ready):
                each.mkdir(parents=True)
            schema.upgrade(self._database_url)
            self.db = Database(self._database_url)
            stack.callback(self.db.close)
            coze = stack.enter_context(Server(create_coze(self.coze))).url
            api = stack.enter_context(Server(create_wechat(self.wechat))).url
            self._log = stack.enter_context((self.folder / "gateway.log").open("wb"))
            self._crowd = stack.enter_context(ThreadPoolExecutor(CROWD))
            self._master = self._start(coze, api)
            # first of all at the end: whoever still waits for the gateway then waits no longer
            stack.callback(self._end)
            self._wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._stack.close()

    # the customers

    def say(self, openid: str, text: str, menu_id: str = "", **knobs: Unpack[Knobs]) -> Future[Sent]:
        """A follower writes; returns at once, and the future holds what WeChat made of it."""

        def delivered() -> Sent:
            return Sent(openid, text, self.wechat.send_text(openid, text, menu_id=menu_id, **knobs))

        future = self._crowd.submit(delivered)
        self.sent.append(future)
        return future

    def listen(self, timeout: float = 90.0) -> None:
        """Waits until WeChat is through with every message that was sent."""
        undone = wait(self.sent, timeout).not_done
        assert not undone, f"{len(undone)} messages are still on their way"

    def settle(self, timeout: float = 100.0) -> None:
        """Waits until the gateway has nothing left to do, then lets followers fetch what waits for them."""
        self.quiet(timeout)
        for _ in range(FETCHES):
            if self.strategy == "push" or not (waiting := self.history().waiting):
                return
            for openid in waiting:
                self.say(openid, "继续", menu_id="1")
            self.quiet(timeout)

    def quiet(self, timeout: float = 100.0) -> None:
        """Waits until everybody was heard and the gateway has nothing left to do."""
        self.listen()
        self._wait_until_idle(timeout)

    def history(self) -> History:
        """Everything that happened so far."""
        sent = [each.result() for each in self.sent if each.done()]
        with self.db.read() as session:
            exchanges = session.scalars(select(Exchange).order_by(Exchange.id)).all()
            jobs = session.scalars(select(Job).order_by(Job.id)).all()
            lines = session.scalars(select(Message).order_by(Message.id)).all()
            rides = session.execute(select(Ride.exchange_id, Ride.carrier_id)).all()
            rests = session.execute(select(Rest.exchange_id, Rest.taken_by)).all()
        seen = {each.openid: self.wechat.inbox(each.openid) for each in sent}
        return History(
            sent,
            seen,
            exchanges,
            jobs,
            lines,
            [(each, by) for each, by in (*rides, *rests) if by is not None],
            dict(self.coze.asked),
            now_ms(),
            holds=self.strategy == "hold",
        )

    # the processes

    def workers(self) -> list[int]:
        """The process ids of the gateway's workers right now."""
        children = Path(f"/proc/{self._master.pid}/task/{self._master.pid}/children")
        return [int(each) for each in children.read_text().split()]

    def kill(self, rng: random.Random) -> bool:
        """Ends a random worker as the kernel does when memory runs out; False when there was none."""
        return bool(workers := self.workers()) and signalled(rng.choice(workers), signal.SIGKILL)

    def recovered(self) -> bool:
        """Whether both workers are there and have the application."""
        workers = self.workers()
        return len(workers) == 2 and all((self.ready / str(each)).exists() for each in workers)

    def recover(self) -> None:
        """Waits until whoever died has a successor that can be delivered to."""
        deadline = time.monotonic() + START_SECONDS
        while not self.recovered():
            assert time.monotonic() < deadline, f"no worker takes a dead one's place:\n{self.said()}"
            time.sleep(0.1)

    def reload(self) -> None:
        """What a deployment does: new workers start, the old ones finish what they have."""
        self._master.send_signal(signal.SIGHUP)

    def freeze(self, *workers: int) -> list[int]:
        """Stops these workers, or all, between two instructions; `thaw` lets them go on."""
        return [each for each in workers or self.workers() if signalled(each, signal.SIGSTOP)]

    def crashes(self) -> int:
        """How many messages lost their worker at a crash point; one death may take several along."""
        return len(list(self.marks.iterdir()))

    def said(self) -> str:
        """The end of what the gateway wrote, for the message of a failed test."""
        return (self.folder / "gateway.log").read_text(errors="replace")[-4000:]

    def _start(self, coze: str, api: str) -> subprocess.Popen[bytes]:
        verified = self.strategy == "push"
        settings = {
            "APP_ENV": "development",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WORKERS": "2",
            "DATABASE_URL": self._database_url,
            "COZE_API_BASE": coze,
            "COZE_API_TOKEN": "pat_yingda-sandbox",
            "COZE_BOT_ID": "7000000000000000001",
            "COZE_ANSWER_TIMEOUT": str(ANSWER_SECONDS),
            "WECHAT_TOKEN": self.wechat.token,
            "WECHAT_APPID": self.wechat.appid,
            "WECHAT_APPSECRET": self.wechat.appsecret,
            "WECHAT_AES_KEY": "yingdaSandbox0yingdaSandbox0yingdaSandbox0A",
            "WECHAT_ACCOUNT_KIND": "verified" if verified else "unverified",
            "WECHAT_STRATEGY": self.strategy,
            "WECHAT_API_BASE": api,
            # what a customer reads is compared with what is logged
            "WECHAT_AI_LINE": "false",
            "CRASH_MARKS": str(self.marks),
            "READY_MARKS": str(self.ready),
            "PYTHONPATH": str(ROOT),
            **self._hooks,
        }
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                "-c",
                ROOT / "deploy/gunicorn.conf.py",
                "tests.faults.entrance:app",
            ],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **settings},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._master.poll() is None, f"the gateway ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"the gateway does not start:\n{self.said()}"
            time.sleep(0.1)

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200 and len(self.workers()) == 2
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _wait_until_idle(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with self.db.read() as session:
                open_exchanges = select(func.count()).where(Exchange.status.in_(UNFINISHED))
                open_jobs = select(func.count()).where(Job.status.in_(BUSY_JOBS))
                if not session.scalar(open_exchanges) and not session.scalar(open_jobs):
                    return
            time.sleep(0.1)

    def _end(self) -> None:
        # the whole group at once: a frozen worker could not hear anything gentler
        with suppress(ProcessLookupError):
            os.killpg(self._master.pid, signal.SIGKILL)
        self._master.wait(10)


def thaw(processes: list[int]) -> None:
    for each in processes:
        signalled(each, signal.SIGCONT)


def signalled(process: int, number: signal.Signals) -> bool:
    """Sends the signal; False when the process is gone already."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    # a test run that is killed leaves no gateway behind: the workers follow their master
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
