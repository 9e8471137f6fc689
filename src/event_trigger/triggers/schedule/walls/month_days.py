"""Computes days of months, as bits of a number of which the lowest is the 1st.

A month has one of 28 shapes: it has 28 to 31 days, and its 1st is one of seven weekdays.
"""

from calendar import isleap, monthrange
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

_SHORTEST, _LONGEST = 28, 31
EVERY_SHAPE = range(4 * 7)
_EACH_WEEK = sum(1 << one for one in range(0, 35, 7))
_YEAR = 365
Places = frozenset[tuple[int, int]]  # of weekdays


class Shapes(dict[int, int]):
    """The days of each shape of a month, computed when they are asked for.

    `days_of` takes the first weekday, Monday is 0, and the length of a month.
    """

    def __init__(self, days_of: Callable[[int, int], int]) -> None:
        super().__init__()
        self._days_of = days_of

    def __missing__(self, shape: int) -> int:
        length, first = divmod(shape, 7)
        days = self[shape] = self._days_of(first, _SHORTEST + length)
        return days


def shape_in(year: int, month: int) -> int:
    """Returns the number of the shape of a month."""
    first, length = monthrange(year, month)
    return (length - _SHORTEST) * 7 + first


def month_of(day: date) -> int:
    """Counts the months from the year 0."""
    return day.year * 12 + day.month - 1


def shapes_with(lengths: Iterable[int]) -> Iterator[int]:
    """Walks the numbers of the shapes that have one of some lengths."""
    return ((length - _SHORTEST) * 7 + first for length in lengths for first in range(7))


@lru_cache(maxsize=4096)
def bits_of(numbers: frozenset[int]) -> int:
    """Returns a number whose bits in these places are set."""
    return sum(1 << one for one in numbers)


def all_days(length: int) -> int:
    return (1 << length) - 1


def weekdays_in(weekday: int, first: int, length: int) -> int:
    """Returns the days of a weekday (Monday is 0) in a month, or any other run of days."""
    return (_EACH_WEEK << (weekday - first) % 7) & all_days(length)


def runs_in(first: date, origin: date, run: int, step: int) -> int:
    """Returns the days of a month, from its first on, in runs of days that begin every `step`."""
    begin = (origin - first).days % step
    days = all_days(run) >> step - begin  # of a run that began in the month before
    for place in range(begin, _LONGEST, step):
        days |= all_days(run) << place
    return days


@lru_cache(maxsize=4096)
def places_of(days: int) -> Sequence[int]:
    """Returns the places of the days of a month, of which the 1st is 0."""
    return tuple(walk_bits(days))


def walk_bits(bits: int) -> Iterator[int]:
    """Walks the places of the set bits, from the lowest, which is 0."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


@dataclass(frozen=True)
class RuleDays:
    """The days that BYMONTH, BYMONTHDAY and BYDAY name together; empty parts limit nothing.

    `weekdays` are pairs of a weekday, 0 is Monday, and its place in the month, or `in_year`; place
    0 is every one. Negative numbers and places count from the end.
    """

    months: frozenset[int]
    month_days: frozenset[int]
    weekdays: Places
    in_year: bool

    def days_in(self, year: int, month: int) -> int:
        """Returns the days of a month, as bits."""
        if self.months and month not in self.months:
            return 0
        shape = shape_in(year, month)
        of_week = self._of_week[shape]
        if self.in_year:
            placed = _placed_in_year(self.weekdays, date(year, 1, 1).weekday(), isleap(year))
            of_week |= placed >> _days_before(month, isleap(year))
        return self._of_month[shape] & of_week

    def most_in(self, months: int) -> int:
        """Returns a number of days that so many months never exceed."""
        each = _most_of_month(self.month_days)
        plain = _most_of_week(self.weekdays, self.in_year)
        placed = len(self.weekdays) if self.in_year else 0
        return min(months * each, months * plain + placed)

    @cached_property
    def _of_month(self) -> Shapes:
        return _of_month(self.month_days)

    @cached_property
    def _of_week(self) -> Shapes:
        return _of_week(self.weekdays, self.in_year)


# many rules name the same days
@lru_cache(maxsize=1024)
def _of_month(month_days: frozenset[int]) -> Shapes:
    def days_of(_first: int, length: int) -> int:
        if not month_days:
            return all_days(length)
        days = 0
        for one in month_days:
            place = one - 1 if one > 0 else length + one
            if place >= 0:
                days |= 1 << place
        return days & all_days(length)

    return Shapes(days_of)


@lru_cache(maxsize=1024)
def _of_week(weekdays: Places, in_year: bool) -> Shapes:
    def days_of(first: int, length: int) -> int:
        if not weekdays:
            return all_days(length)
        days = 0
        for weekday, place in weekdays:
            if not (place and in_year):
                days |= _placed(weekdays_in(weekday, first, length), place)
        return days

    return Shapes(days_of)


@lru_cache(maxsize=1024)
def _most_of_month(month_days: frozenset[int]) -> int:
    return max(_of_month(month_days)[one].bit_count() for one in EVERY_SHAPE)


@lru_cache(maxsize=1024)
def _most_of_week(weekdays: Places, in_year: bool) -> int:
    return max(_of_week(weekdays, in_year)[one].bit_count() for one in EVERY_SHAPE)


@lru_cache(maxsize=1024)
def _placed_in_year(weekdays: Places, first: int, is_leap: bool) -> int:
    """Returns the days of a year whose weekday has one of the places, as bits."""
    days = 0
    for weekday, place in weekdays:
        if place:
            days |= _placed(_in_year(weekday, first, _YEAR + is_leap), place)
    return days


def _placed(days: int, place: int) -> int:
    """Returns the day in a place among those of a weekday, if it exists; all of them for 0."""
    if not place:
        return days
    if place > 0:
        return days & ((days & -days) << 7 * (place - 1))
    return days & (1 << days.bit_length() - 1 >> 7 * (-place - 1))


@lru_cache
def _in_year(weekday: int, first: int, length: int) -> int:
    return sum(1 << one for one in range((weekday - first) % 7, length, 7))


@lru_cache
def _days_before(month: int, is_leap: bool) -> int:
    year = 2000 if is_leap else 2001
    return (date(year, month, 1) - date(year, 1, 1)).days
