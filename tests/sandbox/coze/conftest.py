"""A local Coze on a real socket, and a client that sees what is really on the wire."""

from __future__ import annotations

import http.client
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sandbox.coze import LocalCoze, create_app
from sandbox.serve import Server

with warnings.catch_warnings(record=True):  # the SDK uses a deprecated part of authlib, not our matter
    import cozepy  # noqa: F401

TOKEN = "pat_yingda-sandbox"
BOT = "7000000000000000001"


@dataclass
class Wire:
    """An answer to a streamed question: `events` are (name, data text), however it ended."""

    status: int
    headers: dict[str, str]
    raw: bytes
    broken: Exception | None
    pieces: list[bytes] = field(default_factory=list)

    @property
    def events(self) -> list[tuple[str, str]]:
        text = self.raw.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
        found: list[tuple[str, list[str]]] = []
        for line in text.split("\n"):
            key, _, value = line.partition(":")
            if key == "event":
                found.append((value.removeprefix(" "), []))
            elif key == "data" and found:
                found[-1][1].append(value.removeprefix(" "))
        return [(name, "\n".join(data)) for name, data in found]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def data(self, name: str) -> list[Any]:
        return [json.loads(data) for each, data in self.events if each == name]

    def text(self, kind: str = "answer") -> list[str]:
        """Contents of the completed messages of a type."""
        return [
            each["content"] for each in self.data("conversation.message.completed") if each["type"] == kind
        ]

    @property
    def deltas(self) -> str:
        found = []
        for data in (data for name, data in self.events if name == "conversation.message.delta"):
            try:
                found.append(json.loads(data)["content"])
            except ValueError:
                continue
        return "".join(found)

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Api:
    """The protocol by hand, with a personal access token unless another one is given."""

    coze: LocalCoze
    url: str
    token: str = TOKEN

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=10, **options)

    def body(self, text: str, **more: Any) -> dict[str, Any]:
        message = {"role": "user", "type": "question", "content": text, "content_type": "text"}
        return {"bot_id": BOT, "user_id": "u1", "stream": True, "additional_messages": [message], **more}

    def ask(
        self, text: str, conversation: str = "", timeout: float = 10, query: str = "", **more: Any
    ) -> Wire:
        """A chat by a socket of our own, read to its end or to its breaking off."""
        path = f"/v3/chat?conversation_id={conversation}{query}"
        return self.wire("POST", path, self.body(text, **more), timeout)

    def wire(self, method: str, path: str, body: Any, timeout: float = 10) -> Wire:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout)
        pieces: list[bytes] = []
        status, headers, broken = 0, {}, None
        try:
            connection.request(
                method,
                path,
                json.dumps(body),
                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            )
            with connection.getresponse() as response:
                status = response.status
                headers = {key.lower(): value for key, value in response.getheaders()}
                while piece := response.read1(65536):
                    pieces.append(piece)
        except (OSError, http.client.HTTPException) as wrong:
            broken = wrong
        finally:
            connection.close()
        return Wire(status, headers, b"".join(pieces), broken, pieces)

    def last_chat(self) -> Any:
        return list(self.coze.chats.values())[-1]

    def truth(self) -> list[str]:
        """The answers of the newest chat as retrieve and message/list tell them."""
        chat = self.last_chat()
        query = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
        shown = self.call("GET", "/v3/chat/retrieve", params=query).json()["data"]
        assert shown["status"] == "completed"
        messages = self.call("GET", "/v3/chat/message/list", params=query).json()["data"]
        return [each["content"] for each in messages if each["type"] == "answer"]


@pytest.fixture
def coze() -> LocalCoze:
    return LocalCoze()


@pytest.fixture
def api(coze: LocalCoze) -> Iterator[Api]:
    with Server(create_app(coze)) as server:
        yield Api(coze, server.url)


@pytest.fixture(scope="session")
def keys() -> tuple[str, str]:
    """A private and a public key in PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), public.decode()
