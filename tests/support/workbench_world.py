"""A gateway whose agents sign in with their browsers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from storage.audit import By
from support.passwords import Passwords
from tests.support.accounts.conftest import CHEAP, HASH, OWN_PAGE, PASSWORD
from tests.support.conftest import AGENTS, OPENID, TIMEOUT, World

ON_WECHAT = f"wechat:default:{OPENID}:{OPENID}"


def open_with_sign_in(
    open_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, **settings: object
) -> World:
    """A world without the header that signs in: passwords are real, and cheap to check."""
    monkeypatch.setattr("support.people.Passwords", lambda: Passwords(CHEAP))
    world = open_world(guard=None, **settings)
    for username in AGENTS:
        world.yingda.people.agents.set_password(By("test"), username, HASH, action="password.reset")
    return world


class Browser:
    """A browser without a screen: the cookie of the console, and what its own pages send."""

    def __init__(self, world: World, username: str) -> None:
        self._world = world
        self._session = requests.Session()
        self._session.headers.update(OWN_PAGE)
        form = {"username": username, "password": PASSWORD}
        answer = self.open("POST", "/console/login", data=form, allow_redirects=False)
        assert answer.status_code == 303, answer.text

    def open(self, method: str, path: str, **options: object) -> requests.Response:
        """Any request; `options` are those of requests."""
        return self._session.request(method, self._world.url + path, timeout=TIMEOUT, **options)  # type: ignore[arg-type]

    def page(self, path: str = "/console", **query: object) -> str:
        """The HTML of a page."""
        answer = self.open("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    def panes(self, **query: object) -> dict[str, dict[str, object]]:
        """The parts of the workbench."""
        answer = self.open("GET", "/api/workbench", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, dict[str, object]] = answer.json()
        return found

    def post(self, path: str, **body: object) -> requests.Response:
        """JSON to an endpoint of the desk."""
        return self.open("POST", path, json=body)
