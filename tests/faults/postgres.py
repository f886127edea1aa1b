"""A PostgreSQL of the test's own: made in a folder, stopped, frozen and started again at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self


def programs() -> Path | None:
    """Where initdb and postgres are; None when the machine has no PostgreSQL server."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda each: each.parent.name)


class Postgres:
    """One server on a free port of this machine, which trusts everybody."""

    def __init__(self, folder: Path) -> None:
        found = programs()
        assert found is not None, "this machine has no PostgreSQL server"
        self._programs = found
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        # root may not run it, and its own user must reach the folder
        self._user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(folder, **self._user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        self._run("initdb", "-U", "postgres", "-A", "trust", "-N", "-D", self._data)
        self.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self.thaw()
        self.stop()

    def start(self) -> None:
        """Returns when it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run("pg_ctl", "-D", self._data, "-l", self._log, "-w", "-o", options, "start")

    def stop(self) -> None:
        """As a power cut would."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def freeze(self) -> None:
        """Its sockets stay open and nothing answers on them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        try:
            postmaster = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for each in (postmaster, *map(int, children)):
            # a server process may end between our look and this
            with suppress(ProcessLookupError):
                os.kill(each, number)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=60,
            **self._user,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stderr.decode()
