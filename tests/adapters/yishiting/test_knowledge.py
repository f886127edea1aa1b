"""Documents from the operator's own search, when the bot names none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request

from adapters.yishiting.knowledge import Knowledge
from errors import ConfigurationError
from sandbox.serve import Server
from tests.adapters.yishiting.desk import ask, frames
from tests.rig import Rig

DOC = {
    "doc_id": "4010230492",
    "space_id": "632685097",
    "title": "易事厅使用指南",
    "url": "https://docs.example.com/4010230492",
    "score": 0.881664,
}


@dataclass
class Search:
    """A search of the operator's, and what it was asked."""

    url: str = ""
    says: Any = field(default_factory=lambda: {"docs": [DOC]})
    status: int = 200
    slow: float = 0.0
    ended: int = 0
    asked: list[tuple[Any, str]] = field(default_factory=list)


@pytest.fixture
def search() -> Iterator[Search]:
    found = Search()
    app = Flask("search")

    @app.post("/search")
    def answer() -> tuple[Response, int]:
        found.asked.append((request.get_json(), request.headers.get("Authorization", "")))
        time.sleep(found.slow)
        found.ended += 1
        if isinstance(found.says, bytes):
            return Response(found.says), found.status
        return jsonify(found.says), found.status

    with Server(app) as server:
        found.url = f"{server.url}/search"
        yield found


def test_its_documents_are_the_answer_s_in_both_forms(search: Search, open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(yishiting_knowledge_url=search.url, yishiting_knowledge_token="for-the-search")
    body = ask(rig).json()
    assert (body["is_recall_success"], body["recall_docs"]) == (1, [DOC])
    last = frames(rig)[-1]
    assert last["global_output"]["docs"] == [{name: DOC[name] for name in ("doc_id", "title", "url")}]
    assert search.asked[0] == (
        {
            "query": "你好",
            "user": "test_user",
            "robot": "default",
            "session_id": "session_456",
            "business_keys": ["售后"],
            "top_k": 5,
        },
        "Bearer for-the-search",
    )


def test_documents_that_the_bot_names_come_first(search: Search, open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(yishiting_knowledge_url=search.url)
    assert ask(rig, content="给我使用指南").json()["recall_docs"][0]["title"] == "新手使用指南"
    assert search.asked == []


def test_a_failed_answer_is_not_adorned(search: Search, open_rig: Callable[..., Rig]) -> None:
    rig = open_rig(yishiting_knowledge_url=search.url)
    rig.coze.faults.queue("chat_failed")
    assert ask(rig).json()["recall_docs"] == []
    assert search.asked == []


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (500, {"docs": [DOC]}),
        (302, {"docs": [DOC]}),
        (200, b"nonsense"),
        (200, b"[" * 5000),
        (200, []),
        (200, {"docs": 5}),
        (200, b'{"docs": [' + b" " * 300_000 + b"]}"),
    ],
)
def test_a_search_that_fails_costs_only_the_documents_and_is_left_alone_for_a_while(
    search: Search, open_rig: Callable[..., Rig], status: int, says: Any
) -> None:
    search.status, search.says = status, says
    rig = open_rig(yishiting_knowledge_url=search.url)
    for number in "12":
        body = ask(rig, msg_id=number).json()
        assert (body["code"], body["recall_docs"]) == (0, [])
    assert len(search.asked) == 1


def test_a_search_that_hangs_is_waited_for_briefly(search: Search, open_rig: Callable[..., Rig]) -> None:
    search.slow = 3.0
    rig = open_rig(yishiting_knowledge_url=search.url, yishiting_knowledge_seconds=0.3)
    assert ask(rig).json()["recall_docs"] == []
    # the answer did not wait for the end of the search
    assert search.ended == 0


def test_what_is_not_a_document_is_left_out(search: Search, open_rig: Callable[..., Rig]) -> None:
    search.says = {
        "docs": [
            5,
            {"title": "without an id"},
            {"doc_id": "1", "url": "javascript:alert(1)"},
            {"doc_id": 42, "title": "a number for an id"},
        ]
    }
    rig = open_rig(yishiting_knowledge_url=search.url)
    assert ask(rig).json()["recall_docs"] == [
        {"doc_id": "42", "space_id": "", "title": "a number for an id", "url": "", "score": None}
    ]


def test_an_address_that_cannot_be_asked_stops_the_start() -> None:
    for url in ("ftp://search.example", "http://search.example", "nonsense"):
        with pytest.raises(ConfigurationError, match="YISHITING_KNOWLEDGE_URL"):
            Knowledge(url, None, 1.0, plain=False)
