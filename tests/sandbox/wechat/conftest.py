"""A tiny callback on a real socket that answers whatever a test tells it to, right or wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from flask import Flask, Response, request

from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from sandbox.wechat.crypto import sign
from sandbox.wechat.documents import Element, parse, render


@dataclass
class Arrived:
    """One delivery as the callback saw it."""

    number: int
    query: dict[str, str]
    body: str
    push: Element
    """The push itself, decrypted."""
    at: float = field(default_factory=time.monotonic)

    def xml(self, drop: str = "", **changes: Any) -> str:
        """A correct text reply, but for what the test changes or drops."""
        fields: dict[str, Any] = {
            "ToUserName": self.push.value("FromUserName"),
            "FromUserName": self.push.value("ToUserName"),
            "CreateTime": int(time.time()),
            "MsgType": "text",
            "Content": "您好",
        }
        fields |= changes
        fields.pop(drop, None)
        return render(fields)


Answer = Callable[[Arrived], Any]


class Callback:
    """The gateway's side: `arrived` lists every delivery."""

    def __init__(self, answer: Answer) -> None:
        self.arrived: list[Arrived] = []
        self.answer = answer
        self.wechat: LocalWeChat
        self.app = Flask("callback")
        self.app.add_url_rule("/api/wechat", view_func=self.view, methods=["GET", "POST"])

    def view(self) -> Any:
        if request.method == "GET":
            return self.answer(Arrived(0, dict(request.args), "", Element("xml")))
        body = request.get_data().decode()
        document = parse(body)
        sealed = document.value("Encrypt")
        push = parse(self.wechat.cipher.decrypt(sealed)) if sealed else document
        arrived = Arrived(len(self.arrived) + 1, dict(request.args), body, push)
        self.arrived.append(arrived)
        answer = self.answer(arrived)
        return (
            answer if isinstance(answer, Response | tuple) else Response(answer, mimetype="application/xml")
        )

    def envelope(self, xml: str, signature: str = "", nonce: str = "123456789") -> str:
        """`xml` as safe mode wants it."""
        sealed, timestamp = self.wechat.cipher.encrypt(xml), str(int(time.time()))
        return render(
            {
                "Encrypt": sealed,
                "MsgSignature": signature or sign(self.wechat.token, timestamp, nonce, sealed),
                "TimeStamp": int(timestamp),
                "Nonce": nonce,
            }
        )


@pytest.fixture
def listen() -> Iterator[Callable[..., tuple[LocalWeChat, Callback]]]:
    """`listen(answer, **account)`: a listening callback and the WeChat that pushes to it."""
    with ExitStack() as stack:

        def start(answer: Answer, **account: Any) -> tuple[LocalWeChat, Callback]:
            callback = Callback(answer)
            server = stack.enter_context(Server(callback.app))
            account = {"mode": "plain", "patience": 5.0, **account}
            callback.wechat = LocalWeChat(f"{server.url}/api/wechat", **account)
            return callback.wechat, callback

        yield start


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = time.time()

    def __call__(self) -> float:
        return self.time


class Api:
    """A caller of the API side."""

    def __init__(self, url: str, wechat: LocalWeChat) -> None:
        self.url = url
        self.wechat = wechat

    def get(self, path: str, **query: Any) -> requests.Response:
        return requests.get(self.url + path, params=query, timeout=5)

    def post(self, path: str, body: Any = None, **query: Any) -> requests.Response:
        # as WeChat wants it: UTF-8, nothing escaped
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        return requests.post(self.url + path, data, headers=headers, params=query, timeout=5)

    def stable(self, **more: Any) -> Any:
        client = {
            "grant_type": "client_credential",
            "appid": self.wechat.appid,
            "secret": self.wechat.appsecret,
        }
        return self.post("/cgi-bin/stable_token", client | more).json()

    def say(self, openid: str, content: str = "您好", **more: Any) -> int:
        """Sends a customer-service text with a fresh stable token; returns the errcode."""
        body = {"touser": openid, "msgtype": "text", "text": {"content": content}, **more}
        sent = self.post("/cgi-bin/message/custom/send", body, access_token=self.stable()["access_token"])
        return int(sent.json()["errcode"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(listen: Any, clock: Clock) -> Iterator[Api]:
    """The API of a verified account whose gateway answers every push with `success`."""
    wechat, _ = listen(lambda arrived: "success", verified=True, now=clock)
    with Server(create_app(wechat)) as server:
        yield Api(server.url, wechat)
