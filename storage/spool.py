"""The spool: messages on disk while the database is away, one file each, until they can be claimed.

A message is kept when `keep` has returned: its file is whole and on the disk, whatever dies next. It leaves
after its claim was committed; a crash in between only claims it twice, which the claim's unique key forgives.
Nothing here knows the database.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from errors import NotKept, Unavailable
from handler.message import InboundMessage

log = logging.getLogger(__name__)

KEPT, PART, ASIDE = ".json", ".part", ".bad"
BLOCK = 4096
"""Bytes that the smallest file takes on a disk."""
MEASURED_SECONDS = 1.0
"""How long the spool's measured size is believed."""
PART_SECONDS = 60.0
"""Age at which a half-written file has certainly lost its writer."""


class Spool:
    """A folder that the processes of one host share; nothing is made there before the first message."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._size = 0
        self._measured_at = float("-inf")

    def keep(self, message: InboundMessage) -> None:
        """Stores the message durably; again changes nothing. Raises `NotKept`, and then leaves nothing."""
        content = _dump(message)
        path = self.folder / f"{_name(message)}{KEPT}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._reserve(len(content))
                _write(path, content)
            # also for a file that another process has just put there: its name may not be on the disk yet
            _sync(self.folder)
        except OSError as problem:
            log.critical("a message could not be kept", extra={"why": problem.strerror, "spool": str(path)})
            raise NotKept from problem

    def waiting(self) -> int:
        """How many messages wait here."""
        return sum(1 for _ in self._files(KEPT))

    def set_aside(self) -> int:
        """How many files cannot be read, or hold what no claim would take; a person should look at them."""
        return sum(1 for _ in self._files(ASIDE))

    def replay(self, take: Callable[[InboundMessage], object], limit: int) -> int:
        """Gives up to `limit` messages to `take`, the oldest first; returns how many it took, now forgotten.

        Ends at the first `Unavailable`; whatever else `take` raises sets the message aside. One process at a
        time does this, and it returns 0 in the others.
        """
        if not self.waiting():
            return 0
        taken = 0
        with self._alone() as alone:
            for path in self._oldest(limit) if alone else ():
                if (message := self._read(path)) is None:
                    continue
                try:
                    take(message)
                except Unavailable:
                    break
                except Exception:
                    log.exception("a kept message could not be taken", extra={"spool": path.name})
                    _put_aside(path)
                else:
                    path.unlink(missing_ok=True)
                    taken += 1
        return taken

    def _files(self, *endings: str) -> Iterator[os.DirEntry[str]]:
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            yield from (each for each in entries if each.name.endswith(endings))

    def _oldest(self, limit: int) -> list[Path]:
        found: list[tuple[int, str]] = []
        for each in self._files(KEPT, PART):
            with suppress(FileNotFoundError):
                state = each.stat()
                if each.name.endswith(KEPT):
                    found.append((state.st_mtime_ns, each.name))
                elif time.time() - state.st_mtime > PART_SECONDS:
                    Path(each.path).unlink(missing_ok=True)
        return [self.folder / name for _, name in sorted(found)[:limit]]

    def _read(self, path: Path) -> InboundMessage | None:
        try:
            return _messages().validate_python(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, ValidationError):
            log.critical("a kept message cannot be read", extra={"spool": path.name})
            _put_aside(path)
            return None

    def _reserve(self, size: int) -> None:
        now = time.monotonic()
        if now - self._measured_at > MEASURED_SECONDS:
            self._measured_at = now
            self._size = sum(map(_size_on_disk, self._files(KEPT, PART, ASIDE)))
        if self._size + _on_disk(size) > self.max_bytes:
            log.critical("the spool is full: a message could not be kept", extra={"bytes": self._size})
            raise NotKept
        self._size += _on_disk(size)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        # the kernel takes the lock back from a process that dies
        with (self.folder / ".lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


@cache
def _messages() -> TypeAdapter[InboundMessage]:
    # made when something waits here: it costs more than all that a spool without messages does
    return TypeAdapter(InboundMessage)


def _name(message: InboundMessage) -> str:
    """Equal for every delivery of one message, and a safe file name."""
    key = "\0".join((message.platform, message.account, message.dedupe_key))
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _dump(message: InboundMessage) -> bytes:
    fields = asdict(message)
    # a moment of this process's clock, and the platform has stopped waiting anyway
    fields["reply_by"] = None
    # ASCII: half a surrogate pair, which UTF-8 cannot carry, survives as an escape
    return json.dumps(fields, default=str).encode()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.stem}.{os.getpid()}.{threading.get_ident()}{PART}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_aside(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.rename(path.with_suffix(ASIDE))


def _size_on_disk(entry: os.DirEntry[str]) -> int:
    # another process may have finished or forgotten this file since the folder was read
    with suppress(FileNotFoundError):
        return _on_disk(entry.stat().st_size)
    return 0


def _on_disk(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
