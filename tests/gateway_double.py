"""A gateway that answers like the real one, without database and Coze, for tests of one platform."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from flask import Flask

from adapters.base import Adapter
from handler.message import Grant, InboundMessage, Kind, LateReply, Media, Picture, Reply, Via
from handler.run import Progress, Run
from ops.common_headers import CommonHeaders
from settings import Settings
from texts import Texts


@dataclass
class Exchange:
    """A message that was taken, and what became of it."""

    number: int
    message: InboundMessage
    progress: Progress = field(default_factory=Progress)
    attempts: int = 0


class FakeTokens:
    """Access tokens in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[str, int]] = {}
        self.refreshers: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> tuple[str, int] | None:
        return self.stored.get(name)

    def may_refresh(self, name: str, owner: str, seconds: float) -> bool:
        with self._lock:
            return name not in self.refreshers and self.refreshers.setdefault(name, owner) == owner

    def store(self, name: str, value: str, expires_ms: int) -> None:
        with self._lock:
            self.stored[name] = (value, expires_ms)
            self.refreshers.pop(name, None)

    def leave(self, name: str, owner: str) -> None:
        with self._lock:
            if self.refreshers.get(name) == owner:
                del self.refreshers[name]


class FakeFiles:
    """Takes any file and remembers it; `words` is what every recording says."""

    def __init__(self) -> None:
        self.taken: list[tuple[Kind, str, bytes, str]] = []
        self.words = ""

    def upload(self, kind: Kind, name: str, content: bytes, mime: str = "") -> Media:
        self.taken.append((kind, name, content, mime))
        return Media(kind, name=name, mime=mime, file_id=f"file-{len(self.taken)}")

    def transcribe(self, name: str, content: bytes, mime: str = "") -> str:
        self.taken.append(("voice", name, content, mime))
        return self.words


class FakePictures:
    """Pictures in memory, by names that count."""

    def __init__(self) -> None:
        self.kept: dict[str, Picture] = {}

    def keep(self, picture: Picture) -> str:
        name = f"picture-{len(self.kept) + 1}"
        self.kept[name] = picture
        return name

    def get(self, name: str) -> Picture | None:
        return self.kept.get(name)


class FakeQuotas:
    """Quotas in memory; `allowed` is all there is, for everybody together."""

    def __init__(self, allowed: int = 1_000_000) -> None:
        self.allowed = allowed
        self.windows: list[tuple[str, str, str]] = []

    def opened(
        self, platform: str, account: str, user: str, *, by: str, at_ms: int, closes_ms: int, allowed: int
    ) -> bool:
        self.windows.append((account, user, by))
        return True

    def left(self, platform: str, account: str, user: str) -> int:
        return self.allowed

    def take(self, platform: str, account: str, user: str, most: int) -> Grant:
        number = min(most, self.allowed)
        self.allowed -= number
        return Grant((("message", 0, number),)) if number else Grant()

    def give_back(self, platform: str, account: str, user: str, grant: Grant, number: int) -> None:
        self.allowed += number


class FakeLeftovers:
    """Rests and late answers in memory; `breaks` makes every call fail."""

    def __init__(self) -> None:
        self.rests: dict[int, str] = {}
        self.late: list[LateReply] = []
        self.carried: dict[int, list[LateReply]] = {}
        self.breaks = False

    def keep(self, exchange_id: int, text: str) -> bool:
        self._check()
        self.rests[exchange_id] = text
        return True

    def riders(self, carrier_id: int) -> list[LateReply]:
        self._check()
        return self.carried.get(carrier_id) or list(self.late)

    def carry(self, carrier_id: int, exchange_ids: Collection[int]) -> list[int]:
        aboard = [each for each in self.late if each.exchange_id in exchange_ids]
        self.late = [each for each in self.late if each not in aboard]
        self.carried.setdefault(carrier_id, []).extend(aboard)
        return [each.exchange_id for each in self.carried[carrier_id]]

    def _check(self) -> None:
        if self.breaks:
            raise OSError("the database is away")


class FakeCustomers:
    """Remembers what it was told of persons: (user, told_ms, until_ms)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def met(self, platform: str, account: str, user: str, *, told_ms: int, until_ms: int) -> None:
        self.told.append((user, told_ms, until_ms))


class FakeDesk:
    """Remembers which messages let an agent's words go on."""

    def __init__(self) -> None:
        self.went_on: list[int] = []

    def go_on(self, exchange_id: int) -> None:
        self.went_on.append(exchange_id)


class FakeGateway:
    """Answers like the real one: one exchange for each (platform, account, dedupe_key), retries join it.

    `says` makes the reply and may be replaced, `fails_with` is raised by `answer`, and while `gate` is
    cleared every run waits.
    """

    def __init__(self, settings: Settings, texts: Texts | None = None, keys: Any = None) -> None:
        self.settings = settings
        self.texts = texts or Texts()
        self.keys = keys
        self.tokens = FakeTokens()
        self.files = FakeFiles()
        self.pictures = FakePictures()
        self.quotas = FakeQuotas()
        self.leftovers = FakeLeftovers()
        self.notices: Any = None
        self.desk = FakeDesk()
        self.customers = FakeCustomers()
        self.says: Callable[[InboundMessage], str | Reply] = lambda message: f"answer to {message.text}"
        self.fails_with: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.exchanges: list[Exchange] = []
        self.delivered: dict[int, Via] = {}
        self.promised: dict[int, Via] = {}
        self._by_key: dict[tuple[str, str, str], Exchange] = {}
        self._changed = threading.Condition()

    @property
    def service_sessions(self) -> Any:
        raise AssertionError("this platform has no sessions of its own")

    @property
    def transcripts(self) -> Any:
        raise AssertionError("this platform reads no transcripts")

    def answer(self, message: InboundMessage) -> Run:
        if self.fails_with is not None:
            raise self.fails_with
        key = (message.platform, message.account, message.dedupe_key)
        with self._changed:
            won = key not in self._by_key
            if won:
                self._by_key[key] = Exchange(len(self.exchanges) + 1, message)
                self.exchanges.append(self._by_key[key])
            exchange = self._by_key[key]
            exchange.attempts += 1
            attempt = exchange.attempts
            self._changed.notify_all()
        if won and self.gate.is_set():
            self._produce(exchange)
        elif won:
            threading.Thread(target=self._produce, args=(exchange,), daemon=True).start()
        return Run(
            exchange.number, f"trace-{exchange.number}", attempt, exchange.progress, exchange.message.dialogue
        )

    def deliver(self, run: Any, via: Via) -> Via | None:
        with self._changed:
            if self.promised.get(run.exchange_id, via) != via:
                return self.promised[run.exchange_id]
            return self.delivered.setdefault(run.exchange_id, via)

    def promise(self, run: Any, via: Via) -> bool:
        with self._changed:
            if run.exchange_id in self.delivered:
                return False
            return self.promised.setdefault(run.exchange_id, via) == via

    def wait_for_attempts(self, count: int, timeout: float = 20) -> bool:
        """Whether `count` requests came as far as `answer`."""
        with self._changed:
            return self._changed.wait_for(lambda: sum(e.attempts for e in self.exchanges) >= count, timeout)

    def _produce(self, exchange: Exchange) -> None:
        self.gate.wait(30)
        said = self.says(exchange.message)
        reply = said if isinstance(said, Reply) else Reply(said, "coze")
        third = len(reply.text) // 3 + 1
        for start in range(0, len(reply.text), third):
            exchange.progress.emit(reply.text[start : start + third])
        exchange.progress.finish(reply)


def make_app(adapter_class: type[Adapter], settings: Settings, gateway: FakeGateway | None = None) -> Flask:
    """An app with this one platform; the parts are in `app.extensions["adapter"]` and `["gateway"]`."""
    gateway = gateway or FakeGateway(settings)
    adapter = adapter_class.build(gateway)
    assert adapter is not None, "the settings do not switch the platform on"
    app = Flask("contract", static_folder=None)
    app.extensions.update(adapter=adapter, gateway=gateway)
    for number, route in enumerate(adapter.routes()):
        app.add_url_rule(route.path, f"{adapter.name}.{number}", route.view, methods=list(route.methods))
    app.wsgi_app = CommonHeaders(app.wsgi_app)  # type: ignore[method-assign]
    return app
