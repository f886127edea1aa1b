"""Agent events: for one or for everyone, in one order for all, gone after a day."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from storage.agent_events import EVERYONE, AgentEvents, tell
from storage.db import Database, now_ms
from storage.events import KEPT_MS


def say(db: Database, agent: int, words: str) -> int:
    return db.transact(lambda session: tell(session, agent, "note", {"content": words}))


def test_an_agent_reads_what_is_for_it_and_for_everyone(db: Database) -> None:
    events = AgentEvents(db)
    assert events.newest() == 0
    ids = [say(db, 1, "一"), say(db, 2, "二"), say(db, EVERYONE, "众"), say(db, 1, "三")]
    assert [each.payload["content"] for each in events.of_dialogue(1, 0)] == ["一", "众", "三"]
    assert [each.id for each in events.of_dialogue(2, ids[1])] == [ids[2]]
    assert [each.session_id for each in events.since(0)] == [1, 2, EVERYONE, 1]
    assert events.newest() == ids[-1]


def test_who_saw_an_id_missed_none_before_it_whoever_they_were_for(db: Database) -> None:
    events, over = AgentEvents(db), threading.Event()
    seen: list[int] = []

    def read() -> None:
        while True:
            last = over.is_set()
            seen.extend(each.id for each in events.of_dialogue(1, seen[-1] if seen else 0))
            if last:
                return

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(say, db, number % 2, str(number)) for number in range(40)]
        ids = sorted(each.result() for each in writers)
        over.set()
        reader.result()
    assert seen == ids


def test_events_are_deleted_after_a_day(db: Database) -> None:
    events = AgentEvents(db)
    say(db, EVERYONE, "旧")
    assert events.purge() == 0
    assert events.purge(now_ms() + KEPT_MS + 1) == 1
    assert events.since(0) == []
