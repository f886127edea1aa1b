"""Clients that drip, clients that do not read, and whether anybody else notices."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load, questions
from benchmarks.load import Load
from benchmarks.questions import API_KEY
from benchmarks.servers import Running, get
from benchmarks.workloads import Bench, count_replies

HEAD = b"POST /api/wechat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\n"
ESTABLISHED = "01"
LONG = "#40000x0 长"
"""An answer of 4.5 MB in frames: more than the kernel keeps for a reader that does not read."""
ASK_SECONDS = 2.0
"""A health check that takes longer is none."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What /healthz answered while others misbehaved."""

    asked: int
    answered: int
    slowest_ms: float


def probe(port: int, drips: int, seconds: float) -> Probed:
    """Asks /healthz ten times a second while so many connections drip headers and bodies."""
    with dripping(port, drips):
        asked, taken = 0, []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            asked += 1
            begun = time.monotonic()
            with suppress(OSError, http.client.HTTPException):
                get(port, "/healthz", timeout=ASK_SECONDS)
                taken.append(time.monotonic() - begun)
            time.sleep(0.1)
    return Probed(asked, len(taken), max(taken, default=0.0) * 1000)


@contextmanager
def dripping(port: int, count: int) -> Iterator[None]:
    """Half of the connections never finish their headers, half never their bodies; a few bytes a second."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(count)]
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.5):
            for number, each in enumerate(clients):
                # whoever was thrown out has failed: that is what is wanted
                with suppress(OSError):
                    each.send(b"x" if number % 2 else b"X-Drip: 1\r\n"[: 1 + number % 11])

    for number, each in enumerate(clients):
        each.sendall(HEAD + (b"Content-Length: 5000\r\n\r\n<xml>" if number % 2 else b""))
    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for each in clients:
            each.close()


def deaf(port: int, seconds: float) -> Callable[[], float | None]:
    """Begins a client that asks for a long stream and reads nothing.

    The function that it returns waits, and says after how many seconds the server let go of it; None if it
    did not within `seconds`.
    """
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(questions.web("/api/chat/stream", LONG, 2**62)(time.time_ns()))
    begun, own = time.monotonic(), client.getsockname()[1]

    def outcome() -> float | None:
        try:
            while (taken := time.monotonic() - begun) < seconds:
                if not _is_open(port, own):
                    return taken
                time.sleep(0.5)
            return None
        finally:
            client.close()

    return outcome


def wechat_beside_streams(bench: Bench, server: Running) -> None:
    """WeChat's latency while streams run: two connections that ask one after the other."""
    plan, folder = bench.plan, Path(server.contestant.folder)
    length_ms = plan.pieces * plan.pace_ms
    text = f"#{plan.pieces}x{plan.pace_ms} 您好"
    streams = bench.stack.file(questions.web("/api/chat/stream", text, plan.beside * 2), plan.beside * 2)
    # the next questions are written to the same place
    streams = streams.rename(folder / "streams")
    how = Load(plan.beside, 60, server.contestant.done, plan.pieces, length_ms, timeout=60)
    running = load.start(server.port, streams, how)
    time.sleep(length_ms / 1000)
    asked = bench.stack.file(questions.wechat("#20x0 您好", 100), 2_000)
    measured = load.ask(server.port, asked, Load(2, length_ms / 1000 * 0.8, "<Encrypt>"))
    beside = load.finished(running)
    count_replies(server, measured)
    count_replies(server, beside)
    facts = bench.results.facts
    facts["beside.p50"], facts["beside.p99"] = measured.whole.p50, measured.whole.p99
    facts["beside.failed"] = measured.failed + beside.failed
    bench.results.note_failures("WeChat beside streams, WeChat", measured)
    bench.results.note_failures("WeChat beside streams, the streams", beside)


def health_rate(server: Running, bench: Bench) -> float:
    """Milliseconds of CPU for one request that does nothing: what HTTP and Flask cost."""
    request = questions.get("/healthz", f"Authorization: Bearer {API_KEY}\r\n")
    file = bench.stack.file(lambda _number: request, round(4_000 * bench.plan.seconds))
    before = server.family.cpu()
    measured = load.ask(server.port, file, Load(bench.plan.connections, bench.plan.seconds, "alive"))
    return (server.family.cpu() - before) / max(1, measured.done) * 1000


def _is_open(port: int, client: int) -> bool:
    """Whether the server's end of that connection is established; it is not once it was closed or cut."""
    ends = f":{port:04X}", f":{client:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, state = line.split()[1:4]
        if local.endswith(ends[0]) and remote.endswith(ends[1]):
            return state == ESTABLISHED
    return False
