"""A service that verifies tokens, on a real socket, and short ways to what the envelopes hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from flask import Flask, Response, request

from sandbox.serve import Server
from tests.rig import Rig

GOOD = "eyJ.good.token"
HOSTS = "example.com,other.example"


@dataclass
class FakeVerifier:
    """Knows one good token. `answer` replaces its verdicts, `asked` are the headers it saw."""

    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    answer: Callable[[], Response] | None = None


@pytest.fixture
def verifier() -> Iterator[FakeVerifier]:
    fake = FakeVerifier()
    app = Flask("verifier")

    @app.post("/<host>/api/v1/uc/verify_jwt_token")
    def verify(host: str) -> Response:
        token = request.headers.get("Authorization", "")
        fake.asked.append((host, token, request.headers.get("HtyHost", "")))
        if fake.answer is not None:
            return fake.answer()
        return app.json.response({"r": token == GOOD})

    with Server(app) as server:
        fake.url = server.url
        yield fake


@pytest.fixture
def guarded(verifier: FakeVerifier, open_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A gateway whose callers are verified."""
    monkeypatch.setenv("SESSIONS_ALLOWED_HOSTS", HOSTS)
    monkeypatch.setenv("SESSIONS_VERIFIER_URL", verifier.url + "/admin.{host}/api/v1/uc/verify_jwt_token")
    return open_rig()


@pytest.fixture
def clock(rig: Rig) -> Callable[[float], None]:
    """Puts the sessions' clock so many seconds ahead."""

    def ahead(seconds: float) -> None:
        store = rig.app.extensions["yingda"].service_sessions
        store.clock = lambda: time.time_ns() // 1_000_000 + round(seconds * 1000)

    return ahead


def headers(host: str = "example.com", token: str = GOOD) -> dict[str, str]:
    return {"HtySudoerToken": token, "HtyHost": host}


def data_of(response: requests.Response) -> dict[str, Any]:
    """What the envelope holds; fails unless it is the documented one of success."""
    assert response.status_code == 200, response.text
    return unwrapped(response.json())


def unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    assert set(body) == {"success", "data", "error"}
    assert (body["success"], body["error"]) == (True, None)
    outer = body["data"]
    assert set(outer) - {"session"} == {"task_id", "task_status", "task_result"}
    assert (outer["task_id"], outer["task_status"]) == (None, "completed")
    result = outer["task_result"]
    assert set(result) == {"success", "timestamp", "data", "message"}
    assert result["success"] is True
    assert result["message"]
    return dict(result["data"])


def error_of(response: requests.Response, status: int) -> dict[str, Any]:
    """What went wrong; fails unless the envelope is the documented one of failure."""
    assert response.status_code == status, response.text
    body = response.json()
    error = body.pop("error")
    assert body == {"success": False, "data": None, "task_id": None, "task_status": None}
    assert {"message", "code", "timestamp"} <= set(error) <= {"message", "code", "timestamp", "details"}
    return dict(error)


def opened(rig: Rig, user: str = "user123", **more: Any) -> str:
    """The id of a new session."""
    options = {"headers": more.pop("headers", None)}
    return str(data_of(rig.post("/coze/sessions", json={"user_id": user, **more}, **options))["session_id"])


def ask(rig: Rig, session: str, message: str, **options: Any) -> dict[str, Any]:
    """The chat of one message."""
    return data_of(rig.post(f"/coze/sessions/{session}/messages", json={"message": message}, **options))


def delete(rig: Rig, path: str, **options: Any) -> requests.Response:
    return requests.delete(rig.url + path, timeout=(2, 20), **options)
