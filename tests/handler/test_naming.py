"""Coze's names for chats: written a moment later, together, or with the answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from errors import Unavailable
from handler.naming import Naming
from storage.exchange_rows import Note
from storage.exchanges import Exchanges


class Book:
    """Writes down what it is told; fails as often as it is wanted to."""

    def __init__(self, *failures: Exception) -> None:
        self.sets: list[list[int]] = []
        self.failures = [*failures]

    def named(self, notes: Sequence[Note]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sets.append([each.exchange_id for each in notes])


def naming(book: Book) -> Naming:
    return Naming(cast("Exchanges", book))


def until(met: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def note(number: int) -> Note:
    return Note(number, "me", 0, "conversation", f"chat-{number}", None)


def test_names_of_one_moment_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr("handler.naming.time.sleep", lambda _: go.wait(20))
    book = Book()
    names = naming(book)
    for number in (3, 1, 2):
        names.keep(note(number))
    names.drop(1)
    go.set()
    until(lambda: book.sets)
    assert book.sets == [[3, 2]]


def test_who_comes_later_is_written_later() -> None:
    book = Book()
    names = naming(book)
    for number in (1, 2, 3):
        names.keep(note(number))
        until(lambda number=number: [number] in book.sets)


@pytest.mark.parametrize("failure", [Unavailable("away"), ValueError("odd")])
def test_a_failure_stops_nobody(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    book = Book(failure)
    names = naming(book)
    names.keep(note(1))
    until(lambda: not book.failures)
    names.keep(note(2))
    until(lambda: book.sets)
    assert book.sets == [[2]]
    assert caplog.records


def test_what_is_dropped_needs_no_statement() -> None:
    book = Book()
    names = naming(book)
    names.keep(note(1))
    names.drop(1)
    names.drop(2)
    names.keep(note(3))
    until(lambda: book.sets)
    assert book.sets == [[3]]
