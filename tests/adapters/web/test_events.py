"""The visitors' event stream: what an agent says reaches the open page, once and in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import requests
from flask import Flask

from sandbox.serve import Server
from storage.db import Database
from storage.events import publish
from tests.rig import Rig


def begun(rig: Rig, session: str = "a") -> tuple[dict[str, str], int]:
    """A conversation's query, and its row."""
    name = rig.post("/api/conversation/new", json={"session_id": session}).json()["conversation_id"]
    number = rig.app.extensions["yingda"].dialogues.number("web", "default", session, name)
    assert number is not None
    return {"user_id": session, "conversation_id": name}, number


def say(db: Database, dialogue: int, content: str) -> int:
    return db.transact(lambda session: publish(session, dialogue, "manual_message", {"content": content}))


@contextmanager
def listening(url: str, query: dict[str, Any], last: str = "") -> Iterator[Iterator[tuple[str, Any]]]:
    """Id and content of each event; the first has no content and says where it begins."""
    headers = {"Last-Event-ID": last} if last else {}
    response = requests.get(f"{url}/api/events", params=query, headers=headers, stream=True, timeout=(2, 20))
    assert response.status_code == 200, response.text

    def events() -> Iterator[tuple[str, Any]]:
        for record in response.iter_lines(delimiter=b"\n\n", chunk_size=1):
            lines = dict(each.split(": ", 1) for each in record.decode().splitlines() if ": " in each)
            if "id" in lines:
                yield lines["id"], json.loads(lines["data"])["content"] if "data" in lines else None

    with closing(response):
        yield events()


def test_events_come_as_they_happen_and_only_those_of_the_dialogue(rig: Rig) -> None:
    db = rig.app.extensions["yingda"].db
    query, mine = begun(rig)
    _, theirs = begun(rig, "b")
    say(db, mine, "从前")
    with listening(rig.url, query) as events:
        assert next(events)[1] is None
        say(db, theirs, "别人的")
        say(db, mine, "一")
        say(db, mine, "二")
        assert [next(events)[1] for _ in range(2)] == ["一", "二"]


def test_a_page_that_was_away_catches_up_from_where_it_was(rig: Rig) -> None:
    db = rig.app.extensions["yingda"].db
    query, mine = begun(rig)
    seen = say(db, mine, "一")
    say(db, mine, "二")
    with listening(rig.url, query, last=str(seen)) as events:
        assert next(events) == (str(seen), None)
        assert next(events)[1] == "二"
        last = say(db, mine, "三")
        assert next(events) == (str(last), "三")
    with listening(rig.url, {**query, "after": 0}) as events:
        assert [next(events)[1] for _ in range(4)] == [None, "一", "二", "三"]


def test_what_another_process_writes_is_heard(rig: Rig, make_gateway: Callable[..., Flask]) -> None:
    query, mine = begun(rig)
    other = make_gateway()
    with Server(other) as second, listening(rig.url, query) as here, listening(second.url, query) as there:
        next(here), next(there)
        say(other.extensions["yingda"].db, mine, "听得到")
        assert next(here)[1] == next(there)[1] == "听得到"


def test_a_strangers_dialogue_is_not_there(rig: Rig) -> None:
    query, _ = begun(rig)
    assert rig.get("/api/events", params={**query, "user_id": "b"}).status_code == 404
    assert rig.get("/api/events").status_code == 400
    assert rig.get("/api/events?user_id=nobody").status_code == 404
    assert rig.get("/api/events", params=query, headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_process_that_leaves_ends_its_streams(rig: Rig) -> None:
    query, _ = begun(rig)
    listeners = rig.app.extensions["yingda"].events
    with listening(rig.url, query) as events:
        next(events)
        listeners.stop()
        assert list(events) == []
    assert listeners.listeners == 0
