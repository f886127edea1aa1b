"""What an account may send of its own accord, and what it sent."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SAMPLE = "yingda-sandbox-template"


@dataclass(frozen=True, slots=True)
class Notified:
    """One message that went out."""

    kind: str
    openid: str
    msgid: int
    body: Mapping[str, Any]


@dataclass
class Desk:
    """What an account may send of its own accord, and what it sent."""

    templates: dict[str, frozenset[str]] = field(
        default_factory=lambda: {SAMPLE: frozenset({"thing1", "time2"})}
    )
    """Field names of each template in the account."""
    agreed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many messages of a template a follower still agrees to, by (openid, template id)."""
    agreed_once: set[tuple[str, str, int]] = field(default_factory=set)
    """One-time agreements by (openid, template id, scene)."""
    sent: list[Notified] = field(default_factory=list)
    delay: float = 0.0
    """A message goes out at once, but the call is answered so many seconds later."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(3_000_000_000_000_001))
