"""`python -m jobs`: a process that works on jobs and does nothing else, for hosts that serve no requests.

It also takes over the exchanges of dead workers. As many of them as wanted share one database.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading

from app import create_app
from errors import ConfigurationError
from parts import Yingda

log = logging.getLogger(__name__)

PATIENCE = 8.0
"""Seconds that answers and jobs at hand may take after SIGTERM; what is left goes to other processes."""


def main() -> int:
    """Works until SIGTERM or SIGINT; the exit status."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        yingda: Yingda = create_app().extensions["yingda"]
    except ConfigurationError as problem:
        sys.stderr.write(f"Yingda cannot start:\n{problem}\n")
        return 1
    yingda.runner.start()
    log.warning("working on jobs", extra={"owner": yingda.runner.owner})
    stopping.wait()
    yingda.close(PATIENCE)
    log.warning("stopped working on jobs", extra={"owner": yingda.runner.owner})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
