"""A whole gateway on a real socket between the tests and the local Coze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests
from flask import Flask

from sandbox.coze import LocalCoze
from settings import DEVELOPMENT_KEY

TIMEOUT = (2, 20)


@dataclass
class Rig:
    """The gateway at `url`, and the Coze behind it."""

    coze: LocalCoze
    app: Flask
    url: str

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=TIMEOUT, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=TIMEOUT, **options)

    def log(self, **query: Any) -> list[dict[str, Any]]:
        """What the operator sees, newest first."""
        response = self.get("/api/messages", params=query, headers={"X-Api-Key": DEVELOPMENT_KEY})
        assert response.status_code == 200, response.text
        messages: list[dict[str, Any]] = response.json()["messages"]
        return messages
