"""The servers' drivers, made to keep to the patience of the thread that uses them.

Each is in a module of its own, so that a process loads only the one that its database needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Dialect

from storage.patience import connected, seconds_left

CONNECT_SECONDS = 2.0


def connector(dialect: Dialect) -> Callable[..., Any]:
    """What makes the dialect's connections: ones that keep to the limits, with the drivers known here."""
    if (make := _patient(dialect.driver)) is None:
        return dialect.connect

    def connect(*arguments: Any, **options: Any) -> Any:
        try:
            return connected(lambda: make(*arguments, **options), seconds_left(CONNECT_SECONDS))
        except TimeoutError as late:
            raise dialect.loaded_dbapi.OperationalError(str(late)) from None

    return connect


def _patient(driver: str) -> Callable[..., Any] | None:
    match driver:
        case "psycopg":
            from storage.postgres import PostgresConnection

            return PostgresConnection.connect
        case "pymysql":
            from storage.mariadb import MariaConnection

            return MariaConnection
    return None
