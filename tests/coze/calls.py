"""Calls of the client to the local Coze, or to a server that sends scripted bytes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from coze.auth import PersonalToken
from coze.client import CozeClient
from coze.protocol import ChatEvent, Message
from coze.records import Said
from tests.coze.wire import CHUNKED, COMPLETED, CREATED, DONE, END, Hang, Wire, chunk, delta, whole

BOT = "7000000000000000001"
GOOD = [CREATED, delta("你"), delta("好"), whole("你好"), COMPLETED, DONE]


def client_of(url: str, read_timeout: float = 2.0) -> CozeClient:
    return CozeClient(url, PersonalToken("pat_yingda-sandbox"), connect_timeout=1, read_timeout=read_timeout)


def ask(client: CozeClient, text: str = "你好", **options: object) -> list[ChatEvent]:
    with client.chat(BOT, "u1", [Said(text)], **options) as stream:  # type: ignore[arg-type]
        return list(stream)


def text_of(events: Iterable[ChatEvent]) -> str:
    return "".join(each.content for each in events if isinstance(each, Message))


def served(*script: bytes | Hang, **options: object) -> tuple[list[ChatEvent], Wire]:
    with Wire([script]) as wire, closing(client_of(wire.url)) as client:
        return ask(client, **options), wire


def chunked(*pieces: bytes) -> list[bytes]:
    return [CHUNKED, *map(chunk, pieces), END]
