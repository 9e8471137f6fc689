"""Computes the wall times of one or more cron lines, month by month."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time, timedelta

from event_trigger.triggers.schedule.walls.cron_line import CronLine
from event_trigger.triggers.schedule.walls.month_days import places_of, walk_bits

_DAY = timedelta(days=1)
LONGEST_SEARCH_YEARS = 50  # the rarest day, a Monday that is February 29, comes within 40


@dataclass(frozen=True, slots=True)
class CronWalls:
    """The wall times that any of some lines names; one that several name comes once."""

    lines: tuple[CronLine, ...]

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        today, before = wall.date(), _minutes_before(wall)
        for day, minutes in self._days_from(today, passed):
            midnight = datetime.combine(day, time())
            left = minutes >> before << before if day == today else minutes
            for minute in walk_bits(left):
                yield midnight + timedelta(minutes=minute)

    def count(self, since: datetime, until: datetime) -> int:
        day, count = since.date(), self._count_before(until) - self._count_before(since)
        while day < until.date():
            count += self._minutes_on(day).bit_count()
            day += _DAY
        return count

    def names(self, wall: datetime) -> bool:
        if wall.second or wall.microsecond:
            return False
        return bool(self._minutes_on(wall.date()) >> _minutes_before(wall) & 1)

    def _minutes_on(self, day: date) -> int:
        """Returns the minutes since midnight that are named on a day, as bits."""
        return _minutes_of(self._named_in(day.year, day.month), day.day - 1)

    def _count_before(self, wall: datetime) -> int:
        """Counts the wall times of the same day before this one."""
        return (self._minutes_on(wall.date()) & (1 << _minutes_before(wall)) - 1).bit_count()

    def _days_from(self, day: date, passed: Container[date]) -> Iterator[tuple[date, int]]:
        """Walks the named days with their minutes; ends after 50 years without any."""
        months = sorted(frozenset[int]().union(*(one.months for one in self.lines)))
        year, last_year = day.year, day.year + LONGEST_SEARCH_YEARS
        while year <= min(last_year, MAXYEAR - 1):
            for month in months:
                if (year, month) < (day.year, day.month):
                    continue
                named = self._named_in(year, month)
                before = day.day - 1 if (year, month) == (day.year, day.month) else 0
                for place in places_of(_any_of(named) >> before << before):
                    last_year = year + LONGEST_SEARCH_YEARS
                    if (found := date(year, month, place + 1)) not in passed:
                        yield found, _minutes_of(named, place)
            year += 1

    def _named_in(self, year: int, month: int) -> list[tuple[int, int]]:
        """Lists the days of each line in a month, and the minutes of such days."""
        return [(one.days_in(year, month), one.minutes_of_day) for one in self.lines]


def _any_of(named: Iterable[tuple[int, int]]) -> int:
    days = 0
    for one, _ in named:
        days |= one
    return days


def _minutes_of(named: Iterable[tuple[int, int]], place: int) -> int:
    minutes = 0
    for days, of_day in named:
        if days >> place & 1:
            minutes |= of_day
    return minutes


def _minutes_before(wall: datetime) -> int:
    """Counts the whole minutes of the day that begin before a wall time."""
    return wall.hour * 60 + wall.minute + (wall.second > 0 or wall.microsecond > 0)
