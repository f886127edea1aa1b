"""Writers of one SQLite file, let through one after the other in the order in which they came.

SQLite itself lets whoever happens to ask when the file is free: of two busy processes one may get nothing for
seconds, and while it waits it stands still with all its greenlets. Here it waits by sleeping. This is about
order alone: who has waited for too long goes on, and SQLite's own locks decide.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.patience import seconds_left

LOOK_SECONDS = 0.001
"""Between two looks whether it is one's turn; a transaction with its wait for the disk takes some of them."""
NEXT, WRITING = 0, 1
"""The two bytes that are locked: by who is next, of all who wait, and by who writes. A writer who comes again
cannot pass who is next."""


class Turnstile:
    """The order of the writers of one file; `beside` it lies a file that holds nothing but the locks."""

    def __init__(self, beside: Path, patience: float) -> None:
        self._path = beside.with_name(f"{beside.name}-turn")
        self._patience = patience
        # the locks of a file are a process's, and its threads have to take turns by themselves
        self._here = threading.Lock()
        self._file: int | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Inside the block nobody else writes, unless somebody's patience was over."""
        until = time.monotonic() + seconds_left(self._patience)
        alone = self._here.acquire(timeout=seconds_left(self._patience))
        try:
            if alone and self._locked(NEXT, until):
                self._locked(WRITING, until)
                self._unlock(NEXT)
            yield
        finally:
            if alone:
                self._unlock(WRITING)
                self._here.release()

    def close(self) -> None:
        """Gives everything back; who comes later opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _locked(self, byte: int, until: float) -> bool:
        try:
            file = self._opened()
        except OSError:
            # a disk that is full, a folder that may not be written to: the order is not worth a message
            return False
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
                return True
            except BlockingIOError:
                if time.monotonic() >= until:
                    return False
            time.sleep(LOOK_SECONDS)

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    def _unlock(self, byte: int) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)
