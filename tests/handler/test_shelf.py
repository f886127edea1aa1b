"""The library at hand in a process: when it is read anew, and which messages it answers."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from errors import Unavailable
from handler.library import Draft
from handler.message import InboundMessage
from handler.shelf import LibraryResponder, Shelf
from handler.work import Work
from storage.db import Database
from storage.library import Library

DRAFT = Draft(("营业时间",), "九点")


class Counted(Library):
    """A library that counts its readers, and may be away."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.looks = self.reads = 0
        self.away = False

    def revision(self) -> int:
        self.looks += 1
        if self.away:
            raise Unavailable("away")
        return super().revision()

    def since(self, revision: int) -> Any:
        self.reads += 1
        return super().since(revision)


@pytest.fixture
def library(db: Database) -> Counted:
    return Counted(db)


def best(shelf: Shelf, text: str = "营业时间") -> str | None:
    match = shelf.best(text, "web", "default")
    return match.answer if match else None


def test_it_is_looked_at_once_a_while_and_read_only_when_it_changed(library: Counted) -> None:
    shelf = Shelf(library, look_seconds=0.1)
    entry = library.add(DRAFT, "a")
    for _ in range(50):
        assert best(shelf) == "九点"
    assert (library.looks, library.reads) == (1, 1)
    time.sleep(0.11)
    assert best(shelf) == "九点"
    assert (library.looks, library.reads) == (2, 1)
    library.change(entry.id, 1, "a", Draft(("营业时间",), "十点"))
    library.add(Draft(("另一个",), "也在"), "a")
    time.sleep(0.11)
    assert (best(shelf), best(shelf, "另一个")) == ("十点", "也在")
    library.remove(entry.id, 2)
    time.sleep(0.11)
    assert best(shelf) is None
    assert library.reads == 3


def test_without_the_database_it_answers_from_what_it_knows(library: Counted) -> None:
    shelf = Shelf(library, look_seconds=0)
    library.add(DRAFT, "a")
    assert best(shelf) == "九点"
    library.away = True
    assert best(shelf) == "九点"
    # one that never saw the library leaves every message to Coze
    assert best(Shelf(library, look_seconds=0)) is None


def test_nobody_waits_while_somebody_else_reads(library: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(library, look_seconds=0.05)
    library.add(DRAFT, "a")
    assert best(shelf) == "九点"
    reading, go = threading.Event(), threading.Event()

    def slow() -> int:
        reading.set()
        assert go.wait(20)
        return 99

    monkeypatch.setattr(library, "revision", slow)
    time.sleep(0.06)
    reader = threading.Thread(target=best, args=(shelf,))
    reader.start()
    assert reading.wait(20)
    assert best(shelf) == "九点"
    assert reader.is_alive(), "whoever asked next waited for the reader"
    go.set()
    reader.join()


@pytest.mark.parametrize(
    ("kind", "exchange", "answered"),
    [
        ("text", {}, True),
        ("voice", {}, True),
        ("image", {}, False),
        ("event", {}, False),
        ("text", {"chat_id": "7"}, False),
        # the first call is counted before anybody knows whether it will be made
        ("text", {"coze_calls": 1}, True),
        ("text", {"coze_calls": 2}, False),
    ],
)
def test_only_words_that_coze_was_not_asked_are_answered(
    library: Counted, kind: Any, exchange: dict[str, Any], answered: bool
) -> None:
    entry = library.add(DRAFT, "a")
    row = SimpleNamespace(**{"id": 1, "chat_id": None, "coze_calls": 0, **exchange})
    work = cast(
        Work,
        SimpleNamespace(
            message=InboundMessage("web", "default", "u", "k", "营业时间", kind=kind), exchange=row
        ),
    )
    reply = LibraryResponder(Shelf(library), lambda work: work.message.text).respond(work)
    assert (reply is not None) is answered
    if reply:
        assert (reply.text, reply.source, reply.library_id, reply.error) == (
            "九点",
            "library",
            entry.id,
            None,
        )
