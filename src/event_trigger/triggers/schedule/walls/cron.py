"""Computes the wall times of cron lines, month by month."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time, timedelta
from functools import cached_property, lru_cache

from event_trigger.triggers.schedule.walls.month_days import (
    Shapes,
    all_days,
    bits_of,
    places_of,
    shape_in,
    shapes_with,
    walk_bits,
    weekdays_in,
)

SUNDAY = 7  # as date.isoweekday() has it; cron's 0 is Sunday, too
_SATURDAY = 6
_EVERY_HOUR = 24
_LENGTHS: Mapping[int, tuple[int, ...]] = {2: (28, 29), 4: (30,), 6: (30,), 9: (30,), 11: (30,)}
_DAY = timedelta(days=1)
LONGEST_SEARCH_YEARS = 50  # the rarest day, a Monday that is February 29, comes within 40


@dataclass(frozen=True, slots=True)
class MonthDays:
    """The days of a month that a field names.

    `numbers` are days; `nearest` are days whose nearest weekday is meant, in the same month.
    """

    numbers: frozenset[int]
    nearest: frozenset[int] = frozenset()
    last: bool = False
    last_weekday: bool = False

    def days_of(self, first: int, length: int) -> int:
        days = bits_of(self.numbers) >> 1 & all_days(length)
        if self.last:
            days |= 1 << length - 1
        nearest = {*self.nearest, length} if self.last_weekday else self.nearest
        for one in nearest:
            if one <= length:
                days |= 1 << _nearest_weekday(one, first, length) - 1
        return days


@dataclass(frozen=True, slots=True)
class WeekDays:
    """The days of the week that a field names, 1 (Monday) to 7.

    `nth` are pairs of a weekday and its place in the month; place 0 is the last one.
    """

    numbers: frozenset[int]
    nth: frozenset[tuple[int, int]] = frozenset()

    def days_of(self, first: int, length: int) -> int:
        days = 0
        for weekday in self.numbers:
            days |= weekdays_in(weekday - 1, first, length)
        for weekday, place in self.nth:
            same = weekdays_in(weekday - 1, first, length)
            one = (same & -same) << 7 * (place - 1) if place else 1 << same.bit_length() - 1
            days |= one & same
        return days


@dataclass(frozen=True)
class CronLine:
    """A cron line, read. With `needs_both`, a day must match both day fields, else one of them."""

    minutes: frozenset[int]
    hours: frozenset[int]
    month_days: MonthDays
    months: frozenset[int]
    week_days: WeekDays
    needs_both: bool

    @property
    def at_least_hourly(self) -> bool:
        return len(self.hours) == _EVERY_HOUR

    @cached_property
    def minutes_of_day(self) -> int:
        """The minutes since midnight, as bits."""
        of_hour = bits_of(self.minutes)
        return sum(of_hour << 60 * one for one in self.hours)

    @property
    def never_fires(self) -> bool:
        """Tells whether no shape that its months ever have has a day of it."""
        return _never_fires(self.months, self.month_days, self.week_days, self.needs_both)

    def days_in(self, year: int, month: int) -> int:
        """Returns its days of a month, as bits."""
        return self._shapes[shape_in(year, month)] if month in self.months else 0

    @cached_property
    def _shapes(self) -> Shapes:
        """Its days in months of each shape: at most 28 numbers answer for all times."""
        return _shapes_of(self.month_days, self.week_days, self.needs_both)


@lru_cache(maxsize=1024)  # many lines have the same day fields
def _shapes_of(month_days: MonthDays, week_days: WeekDays, needs_both: bool) -> Shapes:
    def days_of(first: int, length: int) -> int:
        in_month, in_week = month_days.days_of(first, length), week_days.days_of(first, length)
        return in_month & in_week if needs_both else in_month | in_week

    return Shapes(days_of)


@lru_cache(maxsize=1024)
def _never_fires(
    months: frozenset[int], month_days: MonthDays, week_days: WeekDays, needs_both: bool
) -> bool:
    shapes = _shapes_of(month_days, week_days, needs_both)
    lengths = {length for one in months for length in _LENGTHS.get(one, (31,))}
    return not any(shapes[one] for one in shapes_with(lengths))


def _nearest_weekday(number: int, first: int, length: int) -> int:
    """Returns the weekday nearest to a day of the same month, Monday to Friday."""
    weekday = (first + number - 1) % 7 + 1
    if weekday == _SATURDAY:
        return number - 1 if number > 1 else number + 2
    if weekday == SUNDAY:
        return number + 1 if number < length else number - 2
    return number


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
