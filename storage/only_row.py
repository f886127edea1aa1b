"""Tables of one row: a counter, or a lock that puts writers in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.columns import Base
from storage.db import changed
from storage.statements import table


def write_only_row(
    session: Session, kind: type[Base], values: Mapping[str, Any], first: Mapping[str, Any]
) -> None:
    """Updates the one row of a table of one, numbered 1, or makes it from `first`; locked until commit."""
    row = table(kind)
    change = update(row).where(row.c.id == 1).values(values)
    if changed(session.execute(change)):
        return
    try:
        # a savepoint: of two who come first at once, one finds the row that the other made
        with session.begin_nested():
            session.execute(row.insert().values(id=1, **first))
    except IntegrityError:
        session.execute(change)
