"""Figures are compared turn by turn: what makes both slow in the same seconds is no difference of theirs."""

from __future__ import annotations

import pytest

from benchmarks.load import Measured, Quantiles
from benchmarks.results import Results, Round

NONE = Quantiles(0, 0.0, 0.0, 0.0, 0.0)


def answered(done: int, cpu: float = 0.0) -> Round:
    """A second in which so many answers came."""
    return Round(Measured(done, 1.0, NONE, NONE, NONE, {}, ""), cpu)


def test_each_turn_is_compared_with_the_others_turn() -> None:
    results = Results()
    for own, others in ((300, 100), (150, 50), (280, 100)):
        results.add("S1", "ours", answered(own))
        results.add("S1", "theirs", answered(others))
    assert results.ratios("S1", "ours", "theirs", lambda each: each.measured.rate) == [3.0, 3.0, 2.8]


def test_a_turn_that_only_one_had_counts_for_nothing() -> None:
    results = Results()
    results.add("S1", "ours", answered(100, cpu=0.1))
    results.add("S1", "ours", answered(100, cpu=0.9))
    assert results.ratios("S1", "ours", "theirs", lambda each: each.cpu_ms) == []
    results.add("S1", "theirs", answered(100, cpu=0.2))
    assert results.ratios("S1", "ours", "theirs", lambda each: each.cpu_ms) == pytest.approx([0.5])


def test_who_answered_nothing_is_no_measure() -> None:
    results = Results()
    results.add("S1", "ours", answered(10))
    results.add("S1", "theirs", answered(0))
    assert results.ratios("S1", "ours", "theirs", lambda each: each.measured.rate) == []
