"""The two C programs of a measurement: compiled when their source has changed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
BUILT = HERE.parent.parent / "var" / "bench"


def built(name: Literal["upstream", "load"]) -> Path:
    """The program's path. Raises `SystemExit` when there is no C compiler, or it refuses."""
    source, program = HERE / f"{name}.c", BUILT / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        raise SystemExit("a C compiler is needed (Debian: apt install gcc libc6-dev)")
    BUILT.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-o", program, source], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return program
