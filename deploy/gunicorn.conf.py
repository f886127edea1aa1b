"""How gunicorn serves the gateway: greenlets, so that thousands of answers can be waited for cheaply.

Address and number of processes come from the settings (HOST, PORT, WORKERS); everything else that may
be tuned is here, with its reason.
"""

import gc
import os
import socket
import warnings
from importlib import import_module
from typing import Any

import gevent
import gevent.socket
import gunicorn
from gevent import monkey
from gevent.threadpool import ThreadPool
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.ggevent import GeventWorker
from pythonjsonlogger.json import JsonFormatter

from settings import load_settings

settings = load_settings()

LEAVING_SECONDS = 5.0
"""What answers without a reader may still take when every request is over; other processes get the rest."""
RARELY = (10_000, 20, 100)
"""When the collector looks for cycles: an answer leaves hardly any, and to look through all that belongs to a
thousand streams holds each of them up for a tenth of a second."""
UNREAD_SECONDS = 20
"""After so long, up to twice that by the kernel's clock, a client that reads nothing is cut off."""


class Connection(gevent.socket.socket):  # type: ignore[misc] # gevent has no annotations
    """A client's connection on which a frame that the kernel takes at once costs one system call.

    gevent would ask for the size of the kernel's buffer before each, to cut what is large; gunicorn writes
    the head of a response and its body one after the other, which leave here together.
    """

    __slots__ = ("_head",)

    def sendall(self, data: bytes, flags: int = 0) -> None:
        head = getattr(self, "_head", b"")
        if not head and data.startswith(b"HTTP/") and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        self._head = b""
        data = head + data
        sent = self.send(data, flags)
        if sent < len(data):
            super().sendall(memoryview(data)[sent:], flags)

    def send(self, data: bytes, flags: int = 0) -> int:
        self.flush()
        return int(super().send(data, flags))

    def flush(self) -> None:
        """Sends a head that nothing followed."""
        if head := getattr(self, "_head", b""):
            self._head = b""
            super().sendall(head)


class FairGeventWorker(GeventWorker):  # type: ignore[misc] # gunicorn has no annotations
    """Lets every other greenlet have its turn after each request: none may be starved by a busy one."""

    def patch(self) -> None:
        with warnings.catch_warnings():
            # in two steps on purpose: see `on_starting`
            warnings.simplefilter("ignore", monkey.MonkeyPatchWarning)
            super().patch()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # the kernel's own patience with a full window; gevent would wait for ever
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        if not self.cfg.is_ssl:
            client = Connection(client.family, client.type, client.proto, client.detach())
        super().handle(listener, client, addr)

    def handle_request(self, listener_name: Any, request: Any, client: Any, addr: Any) -> None:
        try:
            super().handle_request(listener_name, request, client, addr)
        finally:
            if isinstance(client, Connection):
                client.flush()
            gevent.sleep(0)

    def handle_exit(self, sig: int, frame: object) -> None:
        super().handle_exit(sig, frame)
        # a page that listens never ends by itself, and would keep the worker from leaving
        gevent.spawn(self.wsgi.extensions["yingda"].hang_up)


# the header names the product and no version, so that nobody can look up which holes it has
gunicorn.SERVER = "yingda"

host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = [f"{host}:{settings.port}"]
workers = settings.workers
worker_class = FairGeventWorker
worker_connections = 6000  # one per open stream or held callback; each costs some 70 KiB
backlog = 2048
# each worker loads the application by itself: a reload (SIGHUP) then serves the code that is there now,
# and connections, background threads and the owner are its own; libraries are shared (see `on_starting`)
preload_app = False
LIBRARIES = (
    "asyncio",
    "flask",
    "markdown_it",
    "orjson",
    "pydantic_settings",
    "requests",
    "sqlalchemy.ext.compiler",
    "sqlalchemy.orm",
)
"""What every worker needs: half of its time to start and of its memory."""

timeout = 60  # of an event loop that no longer turns; a long answer does not count
graceful_timeout = int(settings.coze_answer_timeout) + 10  # a restart lets the longest answer finish
keepalive = 75  # longer than the proxy keeps idle connections, so that it is never the one surprised

limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
# heartbeats are file writes: in memory, a slow disk cannot make a worker look dead
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True

# the application writes its own line per exchange; `--access-logfile -` adds one per request.
# The path is logged without its query string, which holds signatures.
accesslog = None
access_log_format = (
    '{"time":"%(t)s","level":"INFO","logger":"access","peer":"%(h)s","method":"%(m)s","path":"%(U)s",'
    '"status":%(s)s,"bytes":"%(B)s","seconds":%(L)s}'
)
loglevel = "warning" if settings.development else "info"


class JsonLines(Logger):
    """gunicorn's own lines in the shape of the application's: one JSON object each, on standard error."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        for handler in self.error_log.handlers:
            handler.setFormatter(
                JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=names)
            )


logger_class = JsonLines


def on_starting(server: Any) -> None:
    """Loads the libraries once: the workers, which are forked, share their memory and start the sooner.

    gevent has to patch before they are loaded. What the parent itself works with stays as it is, for it runs
    no event loop: its queue of signals, sleep, fork and waitpid.
    """
    if not issubclass(server.worker_class, GeventWorker):
        return
    monkey.patch_all(os=False, signal=False, time=False, queue=False, subprocess=False)
    for each in LIBRARIES:
        import_module(each)
    from sqlalchemy import make_url

    make_url(settings.database_url).get_dialect().import_dbapi()
    if any(account.aes_keys for account in settings.wechat_accounts):
        import_module("wechatpy.crypto.cryptography")
    gc.collect()
    # a collector that walks shared objects would write to them, and so copy them for each worker
    gc.freeze()


def post_fork(_server: object, _worker: object) -> None:
    """Loading makes next to no garbage: looking for it is a tenth of the time to start."""
    gc.disable()


def post_worker_init(worker: Any) -> None:
    """Settles what stays, and keeps the collector from the loaded code: it steadies the slowest answers.

    Passwords are hashed in threads of their own: a tenth of a second each would hold every stream up.
    """
    # each setting is asked for with every request, and looked for in two tables each time
    settled = {name: setting.get() for name, setting in worker.cfg.settings.items()}
    vars(worker.cfg).update(settled)
    if isinstance(worker, GeventWorker):
        worker.wsgi.extensions["yingda"].people.passwords.elsewhere = ThreadPool(2).apply
    gc.collect()
    gc.freeze()
    gc.set_threshold(*RARELY)
    gc.enable()


def worker_exit(server: object, worker: Any) -> None:
    """A worker that leaves has answered its requests by now: what it still works on goes to the others."""
    if (app := getattr(worker, "wsgi", None)) is not None:  # gunicorn's own process has none
        app.extensions["yingda"].close(LEAVING_SECONDS)
