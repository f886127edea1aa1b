"""Lock conflicts: what a database says when two transactions got into each other's way.

It asks for one of them again. A server that says so is there, and serves the other one.
"""

from __future__ import annotations

from sqlalchemy.exc import OperationalError

from errors import Unavailable

ON_SERVERS = (
    "deadlock",
    # PostgreSQL's and MariaDB's words for one that waited too long
    "lock timeout",
    "lock wait timeout",
    # MariaDB, when a row changed since the transaction's snapshot
    "record has changed since last read",
)
LOCKED_FILE = "database is locked"
"""SQLite's: nobody can write, whoever has the lock."""


def is_lock_conflict(problem: BaseException) -> bool:
    """Whether the database asks for the same transaction again (deadlock victim, busy SQLite)."""
    return _says(problem, (*ON_SERVERS, LOCKED_FILE))


def is_among_rows(problem: BaseException) -> bool:
    """Whether only some rows were locked: for everybody else the database works as ever."""
    return _says(problem, ON_SERVERS)


def _says(problem: BaseException, words: tuple[str, ...]) -> bool:
    cause = problem.__cause__ if isinstance(problem, Unavailable) else problem
    if not isinstance(cause, OperationalError):
        return False
    said = str(cause.orig).lower()
    return any(each in said for each in words)
