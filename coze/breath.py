"""Breaths: in a crowd, answers are read a few pieces at a time.

To wake a stream costs several times what one more piece does. Among few nobody notices; a crowd that is woken
for each piece keeps its process from everything else, new questions first of all.
"""

from __future__ import annotations

import random

FEW = 10
"""Fewer streams than that in a process, whoever reads them, get each piece as it comes."""
EACH_SECONDS = 0.0003
"""How long a stream pauses for each that is open in the process, itself included."""
SHORTEST_SECONDS = 0.15
"""Pieces of an answer come some 30 ms apart: a pause finds five, which together cost half."""
LONGEST_SECONDS = 0.25
"""Text that comes four times a second still reads as if it flowed."""
UNEVEN = 0.7, 1.3
"""Between what parts of itself a pause lasts. Equal ones drift together: streams that woke in one turn of the
event loop would wake in one ever after, and everybody else behind all of them."""


def breath(streams: int) -> float:
    """Seconds for which each of so many streams pauses when it has read what came; 0 among few."""
    if streams < FEW:
        return 0.0
    pause = min(max(SHORTEST_SECONDS, streams * EACH_SECONDS), LONGEST_SECONDS)
    return pause * random.uniform(*UNEVEN)  # noqa: S311 # no secret
