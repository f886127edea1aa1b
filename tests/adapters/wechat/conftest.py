"""A gateway whose answers the test decides, and WeChat's side of the wire.

Signatures and ciphertexts come from the sandbox's own code, never from the adapter's.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from adapters.gateway import Gateway
from adapters.wechat import WeChatAdapter
from adapters.wechat.strategy import Timing
from handler.message import InboundMessage, Reply, Via
from handler.run import Follows, Progress, Run
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat
from sandbox.wechat.crypto import Cipher, sign
from settings import Settings
from tests.gateway_double import (
    FakeCustomers,
    FakeDesk,
    FakeFiles,
    FakeLeftovers,
    FakePictures,
    FakeQuotas,
    FakeTokens,
)
from texts import Texts

TOKEN = "a-token-of-these-tests"
APPID = "wx1111222233334444"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
ORIGINAL_ID = "gh_0123456789ab"
OPENID = "oAbc-Def_0123456789abcdefghi"
ALMOST_REAL = Timing(answer_within=0.7, hold_until=1.2)
PATIENCE = 1.0
"""What stands for WeChat's five seconds."""
QUICK = Timing(answer_within=0.25, hold_until=0.4)


class WatchedRun(Run):
    """A run that tells when somebody begins to wait for it, and has a place by then."""

    held: Callable[[], None]

    def wait(self, timeout: float | None, via: Via | None = None) -> Reply | None:
        if timeout != 0:
            self.held()
        return super().wait(timeout, via)


class FakeGateway:
    """Answers as told: at once (`reply`), later (`finish`), never, or not at all (`broken`)."""

    def __init__(self, settings: Settings, texts: Texts | None = None) -> None:
        self.settings = settings
        self.texts = texts or Texts()
        self.reply: Reply | str | None = "好的"
        self.broken: Exception | None = None
        self.deliver_breaks = False
        self.promise_breaks = False
        self.tokens = FakeTokens()
        self.quotas = FakeQuotas()
        self.leftovers = FakeLeftovers()
        self.files = FakeFiles()
        self.pictures = FakePictures()
        self.desk = FakeDesk()
        self.customers = FakeCustomers()
        self.asked: list[InboundMessage] = []
        self.delivered: list[tuple[int, Via]] = []
        self.promised: list[int] = []
        self.held: set[int] = set()
        """Runs for which a request waits, or waited."""
        self._attempts: Counter[str] = Counter()
        self._running: dict[str, tuple[int, Progress]] = {}
        self._lock = threading.Lock()

    def answer(self, message: InboundMessage) -> Run:
        if self.broken is not None:
            raise self.broken
        with self._lock:
            self.asked.append(message)
            self._attempts[message.dedupe_key] += 1
            number, progress = self._running.setdefault(
                message.dedupe_key, (len(self._running) + 1, Progress())
            )
            if self.reply is not None:
                reply = self.reply if isinstance(self.reply, Reply) else Reply(self.reply, "coze")
                progress.finish(reply)
            run = WatchedRun(number, "trace", self._attempts[message.dedupe_key], progress)
            run.held = lambda: self.held.add(number)
            return run

    def deliver(self, run: Follows, via: Via) -> Via | None:
        if self.deliver_breaks:
            raise OSError("the database is away")
        with self._lock:
            if run.exchange_id in self.promised:
                return "push"
            for number, way in self.delivered:
                if number == run.exchange_id:
                    return way
            self.delivered.append((run.exchange_id, via))
            return via

    def promise(self, run: Follows, via: Via) -> bool:
        if self.promise_breaks:
            raise OSError("the database is away")
        with self._lock:
            if any(number == run.exchange_id for number, _ in self.delivered):
                return False
            if run.exchange_id not in self.promised:
                self.promised.append(run.exchange_id)
            return True

    def finish(self, text: str) -> None:
        """Every run that waits gets this answer, and later ones too."""
        with self._lock:
            self.reply = text
            for _, progress in self._running.values():
                progress.finish(Reply(text, "coze"))

    @property
    def runs(self) -> int:
        """How many different messages came."""
        return len(self._running)


@dataclass
class Account:
    """One official account as WeChat sees it: makes pushes and reads replies."""

    gateway: FakeGateway
    app: Flask
    mode: str = "safe"
    path: str = "/api/wechat"
    token: str = TOKEN
    cipher: Cipher = field(default_factory=lambda: Cipher(AES_KEY, APPID))
    _ids: int = 7_000_000_000_000_000

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def xml(self, msg_type: str = "text", **fields: str | int) -> str:
        """A push in plain XML; a text message unless told otherwise."""
        self._ids += 1
        body: dict[str, str | int] = {
            "ToUserName": ORIGINAL_ID,
            "FromUserName": OPENID,
            "CreateTime": int(time.time()),
            "MsgType": msg_type,
        }
        body |= {} if msg_type == "event" else {"MsgId": self._ids}
        body |= {"Content": "你好"} if msg_type == "text" else {}
        inside = "".join(f"<{name}><![CDATA[{text}]]></{name}>" for name, text in (body | fields).items())
        return f"<xml>{inside}</xml>"

    def event(self, event: str, **fields: str | int) -> str:
        return self.xml("event", Event=event, **fields)

    def query(self, timestamp: str | None = None, nonce: str = "1234567890") -> dict[str, str]:
        timestamp = timestamp or str(int(time.time()))
        return {
            "signature": sign(self.token, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
            "openid": OPENID,
        }

    def request(self, xml: str, **changes: str | None) -> tuple[str, bytes]:
        """Address and body of a push; `changes` replace query parameters, None removes one."""
        query: dict[str, str | None] = {**self.query()}
        body = xml
        if self.mode != "plain":
            sealed = self.cipher.encrypt(xml)
            signature = sign(self.token, str(query["timestamp"]), str(query["nonce"]), sealed)
            query |= {"encrypt_type": "aes", "msg_signature": signature}
            outside = xml.removesuffix("</xml>") if self.mode == "compatible" else "<xml>"
            body = f"{outside}<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
        query |= changes
        return f"{self.path}?{urlencode({k: v for k, v in query.items() if v is not None})}", body.encode()

    def post(self, xml: str | None = None, **changes: str | None) -> TestResponse:
        address, body = self.request(self.xml() if xml is None else xml, **changes)
        return self.client.post(address, data=body, content_type="text/xml")

    def read(self, response: Any) -> dict[str, str]:
        """The fields of a reply, decrypted and its signature checked where it is sealed."""
        data: bytes = response.data if hasattr(response, "data") else response.content
        fields = leaves(data.decode())
        if self.mode == "plain":
            return fields
        assert fields["MsgSignature"] == sign(
            self.token, fields["TimeStamp"], fields["Nonce"], fields["Encrypt"]
        )
        return leaves(self.cipher.decrypt(fields["Encrypt"]))

    def said(self, response: Any) -> str:
        """The words in a reply."""
        return self.read(response)["Content"]


def leaves(xml: str) -> dict[str, str]:
    root = ElementTree.fromstring(xml)
    assert len({each.tag for each in root}) == len(root)
    return {each.tag: each.text or "" for each in root}


def serve(adapter: WeChatAdapter) -> Flask:
    """A bare Flask app with the adapter's routes, registered as the gateway registers them."""
    app = Flask("wechat-test")
    for number, route in enumerate(adapter.routes()):
        app.add_url_rule(
            route.path,
            f"wechat.{number}",
            route.view,
            methods=list(route.methods),
            provide_automatic_options=False,
        )
    return app


MakeAccount = Callable[..., Account]


@pytest.fixture
def make_account(make_settings: Callable[..., Settings]) -> MakeAccount:
    """An account on a gateway of its own: `mode`, `timing`, `texts`, and settings by name."""

    def make(
        mode: str = "safe", timing: Timing = QUICK, texts: Texts | None = None, **settings: Any
    ) -> Account:
        configured = make_settings(
            **{
                "wechat_token": TOKEN,
                "wechat_appid": APPID,
                "wechat_aes_key": AES_KEY,
                "wechat_mode": mode,
                "wechat_original_id": ORIGINAL_ID,
                "wechat_ai_line": False,
                **settings,
            }
        )
        gateway = FakeGateway(configured, texts)
        return Account(gateway, serve(WeChatAdapter(cast(Gateway, gateway), timing)), mode)

    return make


@pytest.fixture(params=["safe", "compatible", "plain"])
def account(request: pytest.FixtureRequest, make_account: MakeAccount) -> Account:
    """The same account in each of the three modes."""
    return make_account(request.param)


@pytest.fixture
def safe(make_account: MakeAccount) -> Account:
    return make_account("safe")


@pytest.fixture
def plain(make_account: MakeAccount) -> Account:
    return make_account("plain")


OpenWeChat = Callable[..., tuple[FakeGateway, LocalWeChat]]


@pytest.fixture
def open_wechat(make_account: MakeAccount) -> Iterator[OpenWeChat]:
    """A gateway on a real socket, and a WeChat that pushes to it."""
    servers: list[Server] = []

    def make(
        mode: str = "safe", timing: Timing = ALMOST_REAL, **settings: Any
    ) -> tuple[FakeGateway, LocalWeChat]:
        account = make_account(mode, timing, **settings)
        server = Server(account.app)
        server.__enter__()
        servers.append(server)
        wechat = LocalWeChat(
            f"{server.url}/api/wechat",
            token=TOKEN,
            appid=APPID,
            aes_key=AES_KEY,
            original_id=ORIGINAL_ID,
            mode=mode,  # type: ignore[arg-type]
            patience=PATIENCE,
        )
        return account.gateway, wechat

    yield make
    for server in servers:
        server.__exit__(None, None, None)
