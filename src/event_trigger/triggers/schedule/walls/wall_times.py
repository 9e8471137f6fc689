"""Declares wall times, naive local times, and computes those of one instant or civil interval."""

from calendar import monthrange
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, timedelta
from typing import Protocol

from event_trigger.triggers.schedule.walls.cron import LONGEST_SEARCH_YEARS

_DAY = timedelta(days=1)


class WallTimes(Protocol):
    """Naive local times, strictly increasing; all are whole seconds."""

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        """Walks the wall times from one on, but those of some dates, which take hardly any time.

        Ends where the next 50 years have none.
        """

    def count(self, since: datetime, until: datetime) -> int:
        """Counts the wall times in `[since, until)`."""

    def names(self, wall: datetime) -> bool:
        """Tells whether one is among them."""


@dataclass(frozen=True, slots=True)
class SingleWall:
    """The one instant of a schedule that fires once."""

    at: datetime

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        is_left = self.at >= wall and self.at.date() not in passed
        return iter((self.at,) if is_left else ())

    def count(self, since: datetime, until: datetime) -> int:
        return int(since <= self.at < until)

    def names(self, wall: datetime) -> bool:
        return wall == self.at


@dataclass(frozen=True, slots=True)
class CivilDays:
    """Every `days` days from `start` on."""

    start: datetime
    days: int

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        at, step = self.start + self._number_before(wall) * self.days * _DAY, self.days * _DAY
        while at.year < MAXYEAR:
            if at.date() not in passed:
                yield at
            at += step

    def count(self, since: datetime, until: datetime) -> int:
        return max(0, self._number_before(until) - self._number_before(since))

    def names(self, wall: datetime) -> bool:
        return wall >= self.start and not (wall - self.start) % (self.days * _DAY)

    def _number_before(self, wall: datetime) -> int:
        return max(0, -((self.start - wall) // (self.days * _DAY)))


@dataclass(frozen=True, slots=True)
class CivilMonths:
    """Every `months` months from `start` on; a year is twelve.

    In a month that does not have the day it is the last day of the month, or none with `skips`, as
    RFC 5545 has it.
    """

    start: datetime
    months: int
    skips: bool

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        number, last_year = self._number_near(wall), wall.year + LONGEST_SEARCH_YEARS
        while (year := self._month(number) // 12) <= min(last_year, MAXYEAR - 1):
            at = self._at(number)
            if at is not None and at >= wall:
                if at.date() not in passed:
                    yield at
                last_year = year + LONGEST_SEARCH_YEARS
            number += 1

    def count(self, since: datetime, until: datetime) -> int:
        """Counts month by month; all of ten years take a hundred steps."""
        count = 0
        for at in self.walk_from(since):
            if at >= until:
                break
            count += 1
        return count

    def names(self, wall: datetime) -> bool:
        return next(self.walk_from(wall), None) == wall

    def _number_near(self, wall: datetime) -> int:
        """Returns the number of the last month up to that of `wall`."""
        months = wall.year * 12 + wall.month - 1 - self._month(0)
        return max(0, months // self.months)

    def _month(self, number: int) -> int:
        return self.start.year * 12 + self.start.month - 1 + number * self.months

    def _at(self, number: int) -> datetime | None:
        year, month = divmod(self._month(number), 12)
        length = monthrange(year, month + 1)[1]
        if self.start.day > length and self.skips:
            return None
        return self.start.replace(year=year, month=month + 1, day=min(self.start.day, length))
