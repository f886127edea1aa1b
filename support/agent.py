"""An agent as every part of the desk sees one: who acts, and with which rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["guest", "agent", "supervisor", "admin"]
"""`guest` only reads; a `supervisor` sees and reassigns every session; an `admin` also keeps the accounts."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A signed-in agent. `username` is what clients call the agent's id."""

    id: int
    username: str
    name: str
    role: Role
