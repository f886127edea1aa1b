"""Working hours: shifts, weekends, holidays, and the days that make up for them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from handler.hours import Hours

SHANGHAI = "Asia/Shanghai"
DAY = Hours("09:00", "18:00", SHANGHAI, True, ("2026-10-01", "2026-10-02"), ("2026-10-10",))


def at(text: str, zone: str = SHANGHAI) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-20 08:59:59", False),  # a Friday
        ("2026-11-20 09:00:00", True),
        ("2026-11-20 17:59:59", True),
        ("2026-11-20 18:00:00", False),
        ("2026-11-21 10:00:00", False),  # Saturday
        ("2026-10-01 10:00:00", False),  # a holiday, Thursday
        ("2026-10-10 10:00:00", True),  # a Saturday that makes up for it
    ],
)
def test_a_day_shift(moment: str, is_open: bool) -> None:
    assert DAY.open_at(at(moment)) is is_open


def test_the_next_shift_is_found_over_weekends_and_holidays() -> None:
    assert DAY.opens(at("2026-11-20 18:00")) == at("2026-11-23 09:00")
    assert DAY.opens(at("2026-11-20 08:00")) == at("2026-11-20 09:00")
    assert DAY.opens(at("2026-09-30 20:00")) == at("2026-10-05 09:00")
    assert DAY.in_words(at("2026-11-23 09:00")) == "11月23日 09:00"
    assert DAY.closes(at("2026-11-20 12:00")) == at("2026-11-20 18:00")


def test_a_night_shift_lasts_into_the_morning_after_its_day() -> None:
    night = Hours("20:00", "06:00", SHANGHAI, True)
    assert night.open_at(at("2026-11-21 05:59"))  # Saturday morning, Friday's shift
    assert not night.open_at(at("2026-11-21 21:00"))
    assert not night.open_at(at("2026-11-23 05:00"))  # Monday morning: Sunday had none


def test_the_default_is_always_and_nobody_is_promised_a_day_that_never_comes() -> None:
    assert Hours().open_at(at("2026-11-21 03:00"))
    assert Hours().open_at(at("2026-11-21 00:00"))
    every_day = tuple(f"2026-{month:02}-{day:02}" for month in (11, 12) for day in range(1, 32)) + tuple(
        f"2027-01-{day:02}" for day in range(1, 32)
    )
    assert Hours(holidays=every_day).opens(at("2026-11-21 03:00")) is None


def test_a_clock_that_is_put_forward_makes_no_shift_shorter_on_paper() -> None:
    zone = "Europe/Berlin"
    hours = Hours("01:00", "05:00", zone)
    assert hours.open_at(at("2026-03-29 03:30", zone))
    assert hours.closes(at("2026-03-29 03:30", zone)) == at("2026-03-29 05:00", zone)
