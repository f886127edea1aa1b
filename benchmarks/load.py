"""One measurement: the load client against one server, with what it said as figures."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.native import built


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Load:
    """How a server is asked."""

    connections: int
    seconds: float
    """No request begins later."""
    marker: str
    """What only a complete answer contains."""
    pieces: int = 0
    """Times with which a complete answer's pieces are stamped; 0: any number."""
    ramp_ms: int = 0
    timeout: int = 30
    """Seconds for one answer."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it. `first` and `delta`: how long pieces took from the upstream to the reader."""

    done: int
    seconds: float
    """From the first request to the last answer."""
    first: Quantiles
    delta: Quantiles
    whole: Quantiles
    failures: dict[str, int]
    """How often what went wrong; `status` is spelt out by code."""
    example: str
    """The head of the first answer that failed, and what came with it; what is no ASCII is blank."""

    @property
    def rate(self) -> float:
        """Complete answers a second."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


def start(port: int, requests: Path, how: Load) -> subprocess.Popen[str]:
    """Begins; `finished` waits for the end."""
    arguments: list[Any] = [built("load"), port, requests, how.connections, how.ramp_ms, how.seconds]
    arguments += [how.timeout, how.pieces, how.marker]
    return subprocess.Popen([str(each) for each in arguments], stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> Measured:
    """What a started client has measured; waits for it."""
    said, _ = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError(f"the load client ended with {process.returncode}")
    found = json.loads(said)
    failures = {name: count for name, count in found["failed"].items() if count and name != "status"}
    failures |= {f"HTTP {code}": count for code, count in found["statuses"].items()}
    if odd := found["failed"]["status"] - sum(found["statuses"].values()):
        failures["no HTTP"] = odd
    return Measured(
        done=found["done"],
        seconds=found["seconds"],
        first=Quantiles(**found["first"]),
        delta=Quantiles(**found["delta"]),
        whole=Quantiles(**found["whole"]),
        failures=failures,
        example=found["example"],
    )


def ask(port: int, requests: Path, how: Load) -> Measured:
    """Asks, and returns when all is answered."""
    return finished(start(port, requests, how))
