"""What processes use, read from /proc: CPU time, memory, and a way to start and end a family of them."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

TICK = os.sysconf("SC_CLK_TCK")
LEAVING_SECONDS = 40.0
"""What a program may take to leave: answers of an overloaded server that are cut would be taken over, and so
measured, by the next one."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a family of processes; bytes. Pages that they share count for each that has them."""

    resident: int
    peak: int
    """The sum of each process's own highest mark."""


class Family:
    """One program and every process it starts, in a session of their own; ended with the block."""

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str],
        output: IO[bytes] | int | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def pids(self) -> list[int]:
        """The first process, then those that it and they have started."""
        found = [self.process.pid]
        for each in found:
            with suppress(OSError):
                for task in Path(f"/proc/{each}/task").iterdir():
                    found += map(int, (task / "children").read_text().split())
        return found

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        return sum(map(_cpu, self.pids()))

    def memory(self) -> Memory:
        """What the family has now, and its peak since `forget_peak`."""
        found = [_memory(each) for each in self.pids()]
        return Memory(sum(each.resident for each in found), sum(each.peak for each in found))

    def largest_worker(self) -> int:
        """Resident bytes of the largest process that the first one has started."""
        return max((_memory(each).resident for each in self.pids()[1:]), default=0)

    def together(self) -> int:
        """Bytes that all of them take: a page that several share counts once (PSS)."""
        return sum(map(_proportional, self.pids()))

    def largest_peak(self) -> int:
        """The highest peak of a single process."""
        return max(_memory(each).peak for each in self.pids())

    def forget_peak(self) -> None:
        """Lets the peaks begin anew, from what is resident now."""
        for each in self.pids():
            with suppress(OSError):
                Path(f"/proc/{each}/clear_refs").write_text("5")

    def end(self) -> None:
        """Politely first; whoever is still there after `LEAVING_SECONDS` is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(LEAVING_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _cpu(pid: int) -> float:
    try:
        # the name in brackets may hold anything, so counting begins behind it
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def _memory(pid: int) -> Memory:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return Memory(0, 0)
    sizes = {name: int(size) * 1024 for name, size in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.M)}
    return Memory(sizes.get("VmRSS", 0), sizes.get("VmHWM", 0))


def _proportional(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)
    return int(found[1]) * 1024 if found else 0


def _die_with_parent() -> None:
    # a measurement that is killed leaves no server behind
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
