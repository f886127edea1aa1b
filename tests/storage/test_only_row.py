"""A table of one row, when several write its first row at once."""

from __future__ import annotations

from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.db import Database
from storage.handoff_tables import QueueDoor
from storage.only_row import write_only_row
from tests.race import at_once

WRITERS = 4


def test_of_several_first_writers_each_one_counts(db: Database) -> None:
    def step(session: Session) -> None:
        write_only_row(session, QueueDoor, {"passed": QueueDoor.passed + 1}, {"passed": 1})

    at_once([partial(db.transact, step)] * WRITERS)
    with db.read() as session:
        assert [tuple(row) for row in session.execute(select(QueueDoor.id, QueueDoor.passed))] == [
            (1, WRITERS)
        ]
