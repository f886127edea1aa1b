"""What gunicorn imports in the fault suite: wsgi.py, with crash points armed or a guard taken out."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults import crashes, guards

# before the application is made, and after gunicorn's worker has made threads into greenlets
crashes.arm(os.environ.get("CRASH_AT", ""), Path(os.environ.get("CRASH_MARKS", ".")))
guards.remove(os.environ.get("WITHOUT_GUARD", ""))

from wsgi import app  # noqa: E402

if ready := os.environ.get("READY_MARKS"):
    (Path(ready) / str(os.getpid())).touch()

__all__ = ["app"]
