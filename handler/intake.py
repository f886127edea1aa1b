"""The intake: takes every message, also while the database is away.

A message that cannot be claimed in time goes to the spool, and its sender is told so politely. Once the
database is back it is claimed from there. The platform's own retry may be faster: both have the same key, so
there is one answer.
"""

from __future__ import annotations

import logging
import threading

from errors import NotKept, Unavailable
from handler.handler import Handler
from handler.message import InboundMessage
from handler.run import Follows
from storage.spool import Spool
from texts import Texts

log = logging.getLogger(__name__)

BATCH = 100
"""Messages taken from the spool before another process may go on with it."""
MOST = 1000
"""Messages claimed before the first of them is answered."""
LOOK_SECONDS = 0.5


class Intake:
    """The door to the handler. One per process."""

    def __init__(self, handler: Handler, spool: Spool, texts: Texts) -> None:
        self.handler = handler
        self.spool = spool
        self.texts = texts
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Looks after the spool in the background from now on."""
        self._thread = threading.Thread(target=self._replay_again_and_again, name="spool", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 5.0) -> None:
        """Leaves the spool to the other processes, or to the next start."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(patience)

    def answer(self, message: InboundMessage) -> Follows:
        """Claims the message and starts or joins its run, in about a second at the longest.

        Raises `Unavailable` when it waits in the spool instead, and `NotKept` when that failed as well; the
        words of both are for the customer.
        """
        try:
            return self.handler.answer(message)
        except Unavailable as away:
            try:
                self.spool.keep(message)
            except NotKept as lost:
                raise NotKept(self.texts.send_again) from lost
            log.warning("a message waits for the database", extra={"platform": message.platform})
            raise Unavailable(self.texts.maintenance) from away

    def replay(self) -> int:
        """Claims what waits in the spool, the oldest first; returns how many messages that was."""
        taken = 0
        with self.handler.backlog.growing():
            while taken < MOST and not self._stopped.is_set():
                if not (batch := self.spool.replay(self._take, BATCH)):
                    break
                taken += batch
        if taken:
            log.warning("messages came from the spool", extra={"messages": taken})
        return taken

    def _take(self, message: InboundMessage) -> None:
        run = self.handler.answer(message, backlog=True)
        if message.later is not None:
            # nobody waits for this answer any more: it has to be brought
            self.handler.promise(run, message.later)

    def _replay_again_and_again(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.replay()
            except Exception:
                log.exception("the spool could not be looked after")
