"""A gateway of a verified 服务号, the local WeChat with its API, and ways to wait for its jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from adapters.wechat import WeChatAdapter
from adapters.wechat.client import Patience
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from settings import DEVELOPMENT_KEY
from tests.rig import Rig

OPENID = "oCustomer-0123456789abcdefgh"
SECRET = "an-app-secret-of-these-tests"
AES_KEY = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A"
KEY = {"X-Api-Key": DEVELOPMENT_KEY}


@dataclass
class Service:
    rig: Rig
    wechat: LocalWeChat
    adapter: WeChatAdapter

    def hurry(self) -> None:
        """Gives silence one second; the token is there by then."""
        for each in self.adapter.apis.values():
            each.prepare()
            each.patience = Patience(connect=1.0, read=1.0, whole=2.0)

    def ask(self, path: str, body: Any, headers: dict[str, str] | None = None) -> requests.Response:
        return self.rig.post(path, json=body, headers=KEY if headers is None else headers)

    def settled(self, path: str, number: int) -> dict[str, Any]:
        """The notice's state once nothing more will happen to it by itself."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.rig.get(f"{path}/{number}", headers=KEY)
            assert answer.status_code == 200, answer.text
            state: dict[str, Any] = answer.json()
            if state["state"] in {"sent", "failed", "in_doubt"}:
                return state
            assert time.monotonic() < deadline, state
            time.sleep(0.05)


@contextmanager
def opened(open_rig: Callable[..., Rig], *, service: bool = True, **settings: Any) -> Iterator[Service]:
    wechat = LocalWeChat("", appsecret=SECRET, aes_key=AES_KEY, verified=True, service=service, patience=2.0)
    with ExitStack() as stack:
        api = stack.enter_context(Server(create_app(wechat)))
        rig = open_rig(
            **{
                "wechat_token": wechat.token,
                "wechat_appid": wechat.appid,
                "wechat_appsecret": SECRET,
                "wechat_aes_key": AES_KEY,
                "wechat_account_kind": "verified",
                "wechat_api_base": api.url,
                **settings,
            }
        )
        wechat.callback_url = f"{rig.url}/api/wechat"
        yingda = rig.app.extensions["yingda"]
        adapter = next(each for each in yingda.adapters if isinstance(each, WeChatAdapter))
        yingda.start()
        wechat.send_event(OPENID, "subscribe")
        yield Service(rig, wechat, adapter)
        yingda.close()
