"""Asking as 易事厅's robots ask, and reading as its public client reads."""

from __future__ import annotations

import json
import time
from typing import Any

import requests

from tests.rig import Rig

QUESTION = {
    "user": "test_user",
    "msg_type": "text",
    "content": "你好",
    "msg_id": "test_123",
    "session_id": "session_456",
    "business_keys": ["售后"],
}


def ask(rig: Rig, path: str = "/chat/sync", token: str = "", **changes: Any) -> requests.Response:
    """Posts the documented question with some fields changed, or left out where None."""
    body = {name: value for name, value in {**QUESTION, **changes}.items() if value is not None}
    return rig.post(path, json=body, headers={"Authorization": f"Bearer {token}"} if token else {})


def frames(rig: Rig, path: str = "/chat", **changes: Any) -> list[dict[str, Any]]:
    """The stream as the public client reads it: strip `data:`, parse the rest."""
    lines = ask(rig, path, **changes).content.decode("utf-8").split("\n")
    return [json.loads(line[5:]) for line in lines if line.startswith("data:")]


def row(rig: Rig, *statuses: str, number: int = 0) -> dict[str, Any]:
    """The logged message, newest first, once it has one of these statuses."""
    deadline = time.monotonic() + 60
    # a request that died may not even have been claimed yet
    while len(found := rig.log()) <= number or found[number]["status"] not in statuses:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found[number]


def undelivered(rig: Rig) -> str:
    """Why the newest answer was given up."""
    row(rig, "undelivered")
    return str(newest(rig, "delivery_error", "exchanges"))


def newest(rig: Rig, column: str, table: str) -> Any:
    with rig.app.extensions["yingda"].db.engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT {column} FROM {table} ORDER BY id DESC").scalar()
