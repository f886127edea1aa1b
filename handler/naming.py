"""Coze's names for the chats under way, written a moment after they are known.

By them whoever takes an exchange over finds its chat again, and a new dialogue its conversation. An answer
that is ready within that moment brings them along, and costs no statement for them; of the others, those of
one moment are written in one.
"""

from __future__ import annotations

import logging
import threading
import time

from crew import Crew
from errors import Unavailable
from storage.exchange_rows import Note
from storage.exchanges import Exchanges

log = logging.getLogger(__name__)

MOMENT_SECONDS = 0.02
"""How long a chat may be known to its process alone: should that die meanwhile, the question is put again."""


class Naming:
    """The names that are not written yet. One per process; the thread is there while there are any."""

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges
        self._lock = threading.Lock()
        self._unwritten: dict[int, Note] = {}
        self._writing = False
        self._crew = Crew("naming", kept=1)

    def keep(self, note: Note) -> None:
        """Has the names written, unless they are dropped before."""
        with self._lock:
            self._unwritten[note.exchange_id] = note
            begin, self._writing = not self._writing, True
        if not begin:
            return
        try:
            self._crew.begin(self._write)
        except RuntimeError:
            # no thread can be had: the next who comes tries again, and the answer brings them anyway
            with self._lock:
                self._writing = False

    def drop(self, exchange_id: int) -> None:
        """The exchange's names are written with its answer."""
        with self._lock:
            self._unwritten.pop(exchange_id, None)

    def _write(self) -> None:
        while True:
            time.sleep(MOMENT_SECONDS)
            with self._lock:
                notes, self._unwritten = [*self._unwritten.values()], {}
                if not notes:
                    self._writing = False
                    return
            try:
                self.exchanges.named(notes)
            except Unavailable:
                # what would only help a successor is no reason to break off answers that are under way
                log.warning("the database is away", extra={"chats": len(notes)}, exc_info=True)
            except Exception:
                log.exception("chats' names could not be written", extra={"chats": len(notes)})
