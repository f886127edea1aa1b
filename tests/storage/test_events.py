"""Visitor events: written with what caused them, read from any place, gone after a day."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.db import Database, now_ms
from storage.events import KEPT_MS, Events, publish
from storage.sessions import Sessions


@pytest.fixture
def dialogue(db: Database) -> int:
    sessions = Sessions(db)
    number = sessions.number("web", "default", "a", sessions.begin("web", "default", "a"))
    assert number is not None
    return number


def say(db: Database, dialogue: int, words: str) -> int:
    return db.transact(lambda session: publish(session, dialogue, "manual_message", {"content": words}))


def test_an_event_is_there_only_with_what_caused_it(db: Database, dialogue: int) -> None:
    def break_off() -> None:
        with db.write() as session:
            publish(session, dialogue, "manual_message", {"content": "不"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert Events(db).since(0) == []
    with pytest.raises(LookupError):
        say(db, dialogue + 1, "谁")


def test_events_are_read_from_a_place_on_in_order(db: Database, dialogue: int) -> None:
    events = Events(db)
    assert events.newest() == 0
    ids = [say(db, dialogue, words) for words in "一二三"]
    assert events.newest() == ids[-1]
    assert [each.payload["content"] for each in events.of_dialogue(dialogue, ids[0])] == ["二", "三"]
    assert [each.event.id for each in events.since(0, limit=2)] == ids[:2]
    assert events.of_dialogue(dialogue + 1, 0) == []


def test_a_reader_who_saw_an_id_missed_none_before_it(db: Database, dialogue: int) -> None:
    events, over = Events(db), threading.Event()
    seen: list[int] = []

    def read() -> None:
        while True:
            last = over.is_set()
            seen.extend(each.id for each in events.of_dialogue(dialogue, seen[-1] if seen else 0))
            if last:
                return

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(say, db, dialogue, str(number)) for number in range(40)]
        ids = sorted(each.result() for each in writers)
        over.set()
        reader.result()
    assert seen == ids


def test_events_are_deleted_after_a_day(db: Database, dialogue: int) -> None:
    events = Events(db)
    say(db, dialogue, "旧")
    assert events.purge() == 0
    assert events.purge(now_ms() + KEPT_MS + 1) == 1
    assert events.since(0) == []


def test_a_dialogue_is_its_users_only(db: Database) -> None:
    sessions = Sessions(db)
    first, second = (sessions.begin("web", "default", "a") for _ in range(2))
    assert sessions.newest("web", "default", "a") == second
    assert sessions.newest("web", "default", "b") is None
    assert sessions.number("web", "default", "a", first) is not None
    assert sessions.number("web", "default", "b", first) is None
    assert sessions.number("wechat", "default", "a", first) is None
