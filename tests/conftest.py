"""What every test shares: an embedded database, the sandbox on real sockets, and a gateway between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
import requests
from flask import Flask

from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.serve import Server
from settings import Settings, load_settings
from storage.db import Database, in_transaction
from tests.engines import migrate
from tests.rig import Rig

# an example that a busy machine held up is no slow one
hypothesis.settings.register_profile("yingda", deadline=None)
hypothesis.settings.load_profile("yingda")

PREFIXES = (
    "AGENT_",
    "APP_",
    "AUDIT_",
    "COMMAND_",
    "COZE_",
    "FALLBACK_",
    "WECHAT_",
    "YISHITING_",
    "API_KEYS",
    "DATABASE_URL",
    "SANDBOX_",
    "SPOOL_",
    "WEB_",
    "WEBHOOK_",
    "SESSIONS_",
    "ENABLE_AUTH",
    "MAX_QUEUE_LENGTH",
    "SERVICE_STATUS",
    "VISITOR_",
    "CORS_",
    "HUMAN_",
    "REGULATOR_",
    "DESK_",
    "SMTP_",
    "TIMEZONE",
    "WEEKENDS_",
    "HOLIDAYS",
    "WORKING_",
)


GATEWAY = {"make_gateway", "open_world", "open_cluster"}
"""Fixtures that start a whole gateway."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of whole gateways, which `make check` leaves to `make test`."""
    for each in items:
        if GATEWAY & set(getattr(each, "fixturenames", ())):
            each.add_marker("served")


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no `.env` of the developer's reaches a test."""
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_transaction_across_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule of the house, checked at run time: nothing is sent while this thread holds a transaction."""
    send = requests.Session.send

    def checked(self: requests.Session, *args: object, **options: object) -> requests.Response:
        assert not in_transaction(), "a database transaction is open across network I/O"
        return send(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "send", checked)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A migrated embedded database of this test's own."""
    url = f"sqlite:///{tmp_path}/test.db"
    migrate(url)
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Development settings on this test's own database; keyword arguments win."""

    def make(**overrides: object) -> Settings:
        return load_settings(**{"database_url": f"sqlite:///{tmp_path}/test.db", **overrides})

    return make


@pytest.fixture
def make_gateway(db: Database, make_settings: Callable[..., Settings]) -> Iterator[Callable[..., Flask]]:
    """The whole gateway on the embedded database; keyword arguments are settings."""
    from app import create_app

    made: list[Flask] = []

    def make(**overrides: object) -> Flask:
        app = create_app(make_settings(**overrides))
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["yingda"].close()


@pytest.fixture
def open_rig(make_gateway: Callable[..., Flask]) -> Iterator[Callable[..., Rig]]:
    """Starts a local Coze and a gateway that asks it; keyword arguments are settings."""
    with ExitStack() as stack:

        def start(**settings: object) -> Rig:
            coze = LocalCoze()
            upstream = stack.enter_context(Server(create_coze(coze)))
            credentials = {
                "coze_api_base": upstream.url,
                "coze_api_token": "pat_yingda-sandbox",
                "coze_bot_id": "7000000000000000001",
            }
            app = make_gateway(**{**credentials, **settings})
            return Rig(coze, app, stack.enter_context(Server(app)).url)

        yield start


@pytest.fixture
def rig(open_rig: Callable[..., Rig]) -> Rig:
    """A gateway with default settings and its Coze."""
    return open_rig()
