"""What the doctor found: one thing, how it is, and how to mend it. No check lives here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["fine", "look", "wrong"]
MARKS: dict[State, str] = {"fine": "✓", "look": "!", "wrong": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. Neither `words` nor `remedy` ever holds a secret."""

    subject: str
    state: State
    words: str
    remedy: str = ""

    def line(self) -> str:
        """The finding as the terminal shows it."""
        remedy = f"\n    → {self.remedy}" if self.remedy else ""
        return f"{MARKS[self.state]} {self.subject}: {self.words}{remedy}"


def fine(subject: str, words: str) -> Finding:
    """As it should be."""
    return Finding(subject, "fine", words)


def worth_a_look(subject: str, words: str, remedy: str) -> Finding:
    """Works, or cannot be told; a person should know."""
    return Finding(subject, "look", words, remedy)


def wrong(subject: str, words: str, remedy: str) -> Finding:
    """Must be mended; makes the command fail."""
    return Finding(subject, "wrong", words, remedy)
