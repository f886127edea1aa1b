"""Totals: right at every moment, and the settled part counted once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from storage.totals import ENTRIES, KEEP_MS, SETTLED_MS, Totals

NOW = 10_000_000


class Rows:
    """Moments of rows, and what was asked about them."""

    def __init__(self, *moments: int) -> None:
        self.moments = list(moments)
        self.asked: list[tuple[int | None, int | None]] = []

    def count(self, start: int | None, end: int | None) -> int:
        self.asked.append((start, end))
        return sum(1 for at in self.moments if (start is None or at >= start) and (end is None or at < end))


def test_a_large_total_grows_with_new_rows_though_the_old_are_counted_once() -> None:
    rows, totals = Rows(*range(50), NOW - 5), Totals(large=10)
    assert totals.total("all", None, None, NOW, rows.count) == 51
    rows.moments += [NOW - SETTLED_MS, NOW + 1]
    assert totals.total("all", None, None, NOW + 2, rows.count) == 53
    until = NOW - SETTLED_MS
    assert rows.asked == [(None, until), (until, None), (until, None)]


def test_the_settled_part_is_counted_again_after_its_time() -> None:
    rows, totals = Rows(*range(50)), Totals(large=10)
    totals.total("all", None, None, NOW, rows.count)
    del rows.moments[:20]
    assert totals.total("all", None, None, NOW + KEEP_MS - 1, rows.count) == 50
    assert totals.total("all", None, None, NOW + KEEP_MS, rows.count) == 30


def test_a_clock_set_back_forgets_what_was_remembered() -> None:
    rows, totals = Rows(*range(50)), Totals(large=10)
    totals.total("all", None, None, NOW, rows.count)
    rows.moments.clear()
    assert totals.total("all", None, None, NOW - 1, rows.count) == 0


def test_a_small_total_is_always_counted_anew() -> None:
    rows, totals = Rows(1, 2, 3), Totals(large=3)
    assert totals.total("one", None, None, NOW, rows.count) == 3
    rows.moments.remove(2)
    assert totals.total("one", None, None, NOW, rows.count) == 2


def test_periods_are_kept_whatever_side_of_the_settled_border_they_lie() -> None:
    rows = Rows(*range(0, NOW, 1_000))
    for start, end in (
        (None, 5_000),
        (3_000, 9_000),
        (NOW - 90_000, NOW - 30_000),
        (NOW - 20_000, None),
        (9, 9),
    ):
        totals = Totals(large=0)
        expected = rows.count(start, end)
        assert totals.total("p", start, end, NOW, rows.count) == expected
        assert totals.total("p", start, end, NOW, rows.count) == expected


def test_the_memory_is_bounded_and_shared_by_threads() -> None:
    rows, totals = Rows(*range(50)), Totals(large=10)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda key: totals.total(key, None, None, NOW, rows.count), range(3 * ENTRIES)))
    assert found == {50}
    assert len(totals._settled) == ENTRIES
