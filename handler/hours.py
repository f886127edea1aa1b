"""When people are there: shifts, weekends, holidays, and the days that make up for them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SEARCHED_DAYS = 60
"""How far ahead the next shift is looked for: longer than any holiday."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The shift of every working day, `start` included and `end` not; an earlier `end` is on the next day."""

    start: str = "00:00"
    end: str = "24:00"
    zone: str = "Asia/Shanghai"
    weekends_off: bool = False
    holidays: Collection[str] = ()
    working_days: Collection[str] = ()

    def is_working_day(self, day: date) -> bool:
        """Whether a shift begins on this day; a make-up day counts for more than weekend or holiday."""
        name = day.isoformat()
        if name in self.working_days:
            return True
        return name not in self.holidays and not (self.weekends_off and day.weekday() >= 5)

    def shift(self, day: date) -> tuple[datetime, datetime] | None:
        """Begin and end of the shift that begins on this day; None when none does."""
        if not self.is_working_day(day):
            return None
        begins, ends = self._at(day, self.start), self._at(day, self.end)
        # equal hours are the whole day round
        return begins, ends if ends > begins else self._at(day + timedelta(days=1), self.end)

    def open_at(self, moment: float) -> bool:
        """Whether people are there at this unix time."""
        return self._current(moment) is not None

    def closes(self, moment: float) -> float | None:
        """When the shift that runs at `moment` ends; None when none runs."""
        return self._current(moment)

    def opens(self, moment: float) -> float | None:
        """When the next shift begins, in unix seconds; None when none does for weeks."""
        today = datetime.fromtimestamp(moment, ZoneInfo(self.zone)).date()
        for ahead in range(SEARCHED_DAYS):
            found = self.shift(today + timedelta(days=ahead))
            if found is not None and found[0].timestamp() > moment:
                return found[0].timestamp()
        return None

    def in_words(self, moment: float) -> str:
        """The moment as a customer reads it: 11月22日 09:00."""
        local = datetime.fromtimestamp(moment, ZoneInfo(self.zone))
        return f"{local.month}月{local.day}日 {local:%H:%M}"

    def _current(self, moment: float) -> float | None:
        today = datetime.fromtimestamp(moment, ZoneInfo(self.zone)).date()
        # yesterday's shift may last into this morning
        for day in (today - timedelta(days=1), today):
            found = self.shift(day)
            if found is not None and found[0].timestamp() <= moment < found[1].timestamp():
                return found[1].timestamp()
        return None

    def _at(self, day: date, clock: str) -> datetime:
        if clock == "24:00":
            day, clock = day + timedelta(days=1), "00:00"
        return datetime.combine(day, time.fromisoformat(clock), ZoneInfo(self.zone))
