"""A verified account with one customer who has just written, and the job that pushes a late answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import pytest

from adapters.gateway import Gateway
from adapters.wechat import WeChatAdapter, late
from adapters.wechat.client import Patience
from handler.message import LateReply, Reply, Source
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from settings import Settings
from tests.adapters.wechat.conftest import AES_KEY, APPID, TOKEN, FakeGateway
from tests.gateway_double import FakeQuotas
from texts import Texts

OPENID = "oCustomer"
SECRET = "an-app-secret-of-these-tests"
texts = Texts()


class Clock:
    def __init__(self) -> None:
        self.time = 1_790_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wechat(clock: Clock) -> LocalWeChat:
    return LocalWeChat("http://127.0.0.1:9/", appid=APPID, appsecret=SECRET, verified=True, now=clock)


@pytest.fixture
def adapter(wechat: LocalWeChat, make_settings: Callable[..., Settings]) -> Iterator[WeChatAdapter]:
    """A verified account with one customer, who has just written."""
    wechat.send_text(OPENID, "在吗", tries=1)
    with Server(create_app(wechat)) as server:
        settings = make_settings(
            wechat_token=TOKEN,
            wechat_appid=APPID,
            wechat_appsecret=SECRET,
            wechat_aes_key=AES_KEY,
            wechat_account_kind="verified",
            wechat_api_base=server.url,
        )
        made = WeChatAdapter(cast(Gateway, FakeGateway(settings)))
        yield made


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "AGAIN_AFTER", (0.0, 0.0))


def hurry(adapter: WeChatAdapter) -> None:
    """Gives silence one second; the token is there by then."""
    api = adapter.apis["default"]
    api.prepare()
    api.patience = Patience(connect=1.0, read=1.0, whole=2.0)


class Sending:
    """Counts the calls of the job's `sending`, and what had been done by then."""

    def __init__(self, wechat: LocalWeChat) -> None:
        self.wechat = wechat
        self.seen: list[tuple[int, int]] = []

    def __call__(self) -> None:
        self.seen.append((self.wechat.tokens.fetches, len(self.wechat.pushes)))


@pytest.fixture
def sending(wechat: LocalWeChat) -> Sending:
    return Sending(wechat)


def answer(
    text: str, source: Source = "coze", error: str | None = None, account: str = "default"
) -> LateReply:
    said = Reply(text, source, error=error)
    return LateReply(1, "trace", "wechat", account, OPENID, "问题", said, asked_ms=0, raw={})


def quotas(adapter: WeChatAdapter) -> FakeQuotas:
    return cast(FakeGateway, adapter.gateway).quotas


def rests(adapter: WeChatAdapter) -> dict[int, str]:
    return cast(FakeGateway, adapter.gateway).leftovers.rests


def bubbles(wechat: LocalWeChat) -> list[str]:
    return [each.text for each in wechat.inbox(OPENID)]
