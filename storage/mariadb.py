"""MariaDB's driver with the limits of the thread: pymysql has one for each read, and the same for all."""

from __future__ import annotations

from pymysql.connections import Connection
from pymysql.constants import SERVER_STATUS

from storage.patience import seconds_left


class MariaConnection(Connection):
    """A connection whose reads share the time there is; pymysql looks at this attribute before each."""

    _longest = 10.0

    @property
    def _read_timeout(self) -> float:
        # zero would mean a socket that does not wait at all
        return max(0.001, seconds_left(self._longest))

    @_read_timeout.setter
    def _read_timeout(self, seconds: float | None) -> None:
        self._longest = seconds or self._longest

    def rollback(self) -> None:
        # as in postgres.py, and here it would be a round trip
        if self.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:  # type: ignore[attr-defined]
            super().rollback()
