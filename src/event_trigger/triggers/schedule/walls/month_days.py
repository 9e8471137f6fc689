"""Holds days of a month as the bits of a number, of which the lowest is the 1st.

A month has one of 28 shapes: it has 28 to 31 days, and its 1st is one of seven weekdays.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache

_SHORTEST, _LONGEST = 28, 31
EVERY_SHAPE = range(4 * 7)
_EACH_WEEK = sum(1 << one for one in range(0, 35, 7))


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
