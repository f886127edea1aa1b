"""An account of the local WeChat whose API is called, and one whose answers are scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from adapters.wechat.client import OfficialApi, Patience
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat, create_app
from settings.accounts import WeChatAccount
from storage import tokens as shared
from storage.db import Database
from tests.coze.wire import Wire, answer_json
from tests.gateway_double import FakeTokens

OPENID = "oCustomer-0123456789abcdefgh"
SECRET = "an-app-secret-of-these-tests"
QUICK = Patience(connect=1.0, read=1.0, whole=2.0)
OK = answer_json({"errcode": 0, "errmsg": "ok"})
TOKEN = answer_json({"access_token": "t0ken-of-this-test", "expires_in": 7200})


def account(url: str, **more: Any) -> WeChatAccount:
    values = {"name": "shop", "tokens": ("x",), "appid": "wx1", "appsecret": SECRET, "api_base": url}
    return WeChatAccount(**{**values, **more})  # type: ignore[arg-type]


@pytest.fixture
def tokens(db: Database) -> shared.Tokens:
    return shared.Tokens(db)


@pytest.fixture
def wechat() -> LocalWeChat:
    return LocalWeChat("http://127.0.0.1:9/", appid="wx1", appsecret=SECRET, verified=True)


@pytest.fixture
def url(wechat: LocalWeChat) -> Iterator[str]:
    """The API of an account with one follower, who has just written."""
    with Server(create_app(wechat)) as server:
        wechat.send_text(OPENID, "在吗", tries=1)
        yield server.url


@pytest.fixture
def api(url: str, tokens: shared.Tokens) -> OfficialApi:
    return OfficialApi(account(url), tokens)


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[OfficialApi, Wire]]]:
    """An API that sends exactly these bytes, one script for each connection."""
    with ExitStack() as stack:

        def start(*scripts: Any, **more: Any) -> tuple[OfficialApi, Wire]:
            wire = stack.enter_context(Wire([s if isinstance(s, list) else [s] for s in scripts]))
            return OfficialApi(account(wire.url, **more), FakeTokens(), QUICK), wire

        yield start
