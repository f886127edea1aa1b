"""Text that grows while it is read: an answer's pieces, without each of them staying an object of its own."""

from __future__ import annotations

LOOSE = 16
"""Pieces that are kept as they came, before they are joined to what came earlier."""


class Growing:
    """One thread adds, any number read; nobody waits for anybody."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state: tuple[bytes, int, list[str]] = (b"", 0, [])
        """What was joined, in UTF-8; its characters; the pieces after it.

        In UTF-8, because a string takes two bytes for each character as soon as one of them is Chinese, and
        four with an emoji. Replaced as a whole: who reads the old one misses only what comes after his look.
        """

    def add(self, piece: str) -> None:
        joined, length, loose = self._state
        loose.append(piece)
        if len(loose) >= LOOSE:
            more = "".join(loose)
            self._state = joined + more.encode("utf-8", "surrogatepass"), length + len(more), []

    def since(self, start: int) -> str:
        """What there is after the first `start` characters."""
        joined, length, loose = self._state
        if start >= length:
            return "".join(loose)[start - length :]
        return (joined.decode("utf-8", "surrogatepass") + "".join(loose))[start:]

    def __str__(self) -> str:
        return self.since(0)
