"""Text that grows while it is read."""

from __future__ import annotations

import sys

import pytest

from growing import LOOSE, Growing

PIECES = ["您", "好", "", "\ud83d", "x" * 40, "𠮷\r\n"] * (LOOSE + 1)


def test_from_every_place_the_rest_is_there_at_every_moment() -> None:
    growing, so_far = Growing(), ""
    for piece in PIECES:
        growing.add(piece)
        so_far += piece
        for start in {0, 1, len(so_far) // 2, max(0, len(so_far) - 3), len(so_far)}:
            assert growing.since(start) == so_far[start:]
    assert str(growing) == "".join(PIECES)


@pytest.mark.parametrize("ahead", [1, 1_000_000])
def test_beyond_the_end_there_is_nothing(ahead: int) -> None:
    growing = Growing()
    growing.add("您好")
    assert growing.since(2 + ahead) == ""


def test_its_pieces_do_not_stay() -> None:
    piece = "".join(["只", "有", "一", "个"])
    before = sys.getrefcount(piece)
    growing = Growing()
    for _ in range(LOOSE * 10):
        growing.add(piece)
    assert sys.getrefcount(piece) == before
