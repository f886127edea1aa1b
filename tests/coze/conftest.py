"""A local Coze, a client that calls it, and bots that ask it or a scripted wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from coze import bot as bot_module
from coze import retries
from coze.bot import Bot
from coze.client import CozeClient, make_client
from handler.message import InboundMessage
from sandbox.coze import LocalCoze, create_app
from sandbox.serve import Server
from settings import Settings
from storage.db import Database, now_ms
from storage.sessions import Sessions, find_or_add_dialogue
from tests.certificates import self_signed
from tests.coze.calls import BOT, client_of
from tests.coze.wire import Hang, Wire
from tests.coze.world import TEXTS, World


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that is quicker to try again and to look again."""
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(retries, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(bot_module, "POLL_SECONDS", 0.05)


@pytest.fixture
def world_at(
    db: Database, make_settings: Callable[..., Settings], _short_pauses: None
) -> Callable[..., World]:
    """Makes a bot that asks the Coze at an address: `user`, and settings by name."""

    def build(url: str, user: str = "oABC", **settings: object) -> World:
        defaults = {"coze_api_base": url, "coze_api_token": "pat_yingda-sandbox", "coze_bot_id": BOT}
        sessions = Sessions(db)
        made = make_settings(
            **{**defaults, "coze_connect_timeout": 1.0, "coze_read_timeout": 2.0, **settings}
        )
        message = InboundMessage("wechat", "main", user, "d", "x")
        with db.write() as session:
            found = find_or_add_dialogue(session.connection(), message, now_ms())
        return World(Bot(make_client(made), sessions, made, TEXTS), sessions, found)

    return build


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not wait long before it repeats a call."""
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.01)


@pytest.fixture
def coze() -> LocalCoze:
    return LocalCoze()


@pytest.fixture
def url(coze: LocalCoze) -> Iterator[str]:
    with Server(create_app(coze)) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> Iterator[CozeClient]:
    with closing(client_of(url)) as client:
        yield client


@pytest.fixture
def world(world_at: Callable[..., World], url: str) -> World:
    return world_at(url)


@pytest.fixture
def wired(world_at: Callable[..., World]) -> Iterator[Callable[..., tuple[World, Wire]]]:
    """A bot that is sent exactly these bytes, one script for each connection."""
    with ExitStack() as stack:

        def build(*scripts: list[bytes | Hang], **settings: object) -> tuple[World, Wire]:
            wire = stack.enter_context(Wire(list(scripts)))
            return world_at(wire.url, **settings), wire

        yield build


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of its own for localhost, in one file."""
    path = tmp_path_factory.mktemp("tls") / "pem"
    path.write_bytes(self_signed("localhost"))
    return path
