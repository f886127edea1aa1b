"""A gateway with accounts whose passwords cost nothing to check, and callers signed in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sandbox.serve import Server
from storage.agent_logins import Login
from storage.audit import By
from support.agent import Role
from support.passwords import Passwords
from support.people import People

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"
HASH = CHEAP.hash(PASSWORD)
BY = By("test")
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Desk:
    """The gateway's people, and ways to call it."""

    app: Flask

    @property
    def people(self) -> People:
        found: People = self.app.extensions["yingda"].people
        return found

    def add(self, username: str, role: Role = "agent", name: str = "", max_sessions: int = 5) -> None:
        self.people.agents.add(
            BY,
            username=username,
            name=name or username,
            role=role,
            password_hash=HASH,
            max_sessions=max_sessions,
        )

    def login(self, username: str) -> Login:
        """A sign-in that asked for no password."""
        found = self.people.agents.credentials(username)
        assert found is not None
        return self.people.logins.open(BY, username, found[1], "api", "", "")

    def bearer(self, username: str) -> dict[str, str]:
        """The header of somebody signed in."""
        return {"Authorization": f"Bearer {self.people.tokens.issue(self.login(username), 'access')}"}

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def sign_in(self, username: str, password: str = PASSWORD, **fields: object) -> TestResponse:
        body = {"username": username, "password": password, **fields}
        return self.client().post("/api/agent/login", json=body)

    def browser(self, username: str, password: str = PASSWORD) -> FlaskClient:
        """A browser with the cookie of the console."""
        client = self.client()
        response = client.post(
            "/console/login", data={"username": username, "password": password}, headers=OWN_PAGE
        )
        assert response.status_code == 303, response.text
        return client

    def audited(self, **filters: Any) -> list[str]:
        """Actions in the audit, oldest first."""
        return [entry.action for entry in reversed(self.people.audit.before(None, 200, **filters))]


@pytest.fixture
def make_desk(make_gateway: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    monkeypatch.setattr("support.people.Passwords", lambda: Passwords(CHEAP))
    return lambda **settings: Desk(make_gateway(**settings))


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """With an agent `wang`, another `li`, and an admin `boss`."""
    made = make_desk()
    made.add("wang", name="小王")
    made.add("li", name="小李")
    made.add("boss", "admin", name="老板")
    return made


@pytest.fixture
def served(desk: Desk) -> Iterator[str]:
    """The address of the desk on a real socket."""
    with ExitStack() as stack:
        yield stack.enter_context(Server(desk.app)).url


def get(url: str, **options: Any) -> requests.Response:
    return requests.get(url, timeout=(2, 20), **options)
