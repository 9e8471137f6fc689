"""Computes the wall times of a recurrence rule (RFC 5545, section 3.3.10), month by month.

With BYSETPOS they are chosen from all of a period: a year, a month or a week.
"""

from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import count, islice, takewhile

from event_trigger.instants import LAST_YEAR
from event_trigger.triggers.schedule.walls.cron import LONGEST_SEARCH_YEARS
from event_trigger.triggers.schedule.walls.month_days import (
    RuleDays,
    all_days,
    month_of,
    places_of,
    runs_in,
)

_MONTHS = 12
_WEEK = 7
_LAST_YEAR = LAST_YEAR + 1  # local times may be a day ahead
_CACHED_PERIODS = 256  # a period has at most 732 positions


class Frequency(StrEnum):
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True)
class Recurrence:
    """A rule with its start, which is the DTSTART; `until` and `last` are inclusive.

    `weekdays` are pairs of a weekday, 0 is Monday, and its place in the month or the year; place 0
    is every one. `times` are seconds since midnight, sorted. Empty parts limit nothing. Negative
    `month_days`, places and `positions` count from the end. `last` is the last of COUNT.
    """

    start: datetime
    frequency: Frequency
    interval: int
    months: frozenset[int]
    month_days: frozenset[int]
    weekdays: frozenset[tuple[int, int]]
    times: tuple[int, ...]
    positions: tuple[int, ...] = ()
    week_start: int = 0
    number: int | None = None  # COUNT
    until: datetime | None = None
    last: datetime | None = None

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        wall = max(wall, self.start)
        walk = self._in_periods if self._chooses else self._on_days
        for one in walk(wall, passed):
            if self._end is not None and one > self._end:
                return
            yield one

    def count(self, since: datetime, until: datetime) -> int:
        since = max(since, self.start)
        if self._end is not None:
            until = min(until, self._end + timedelta(microseconds=1))
        if since >= until:
            return 0
        if self._chooses:
            first, last = self._period_of(since), self._period_of(until)
            whole = sum(len(_chosen_in(self, one)) for one in range(first, last))
            before = bisect_left(_chosen_in(self, last), until)
            return whole + before - bisect_left(_chosen_in(self, first), since)
        months = range(month_of(since), month_of(until))
        whole = sum(self._days_in(one).bit_count() for one in months)
        return whole * len(self._times) + self._count_before(until) - self._count_before(since)

    def find(self, number: int, *, last_year: int) -> datetime | None:
        """Finds the wall time of a number, from 1 on, up to a year."""
        end = datetime(min(last_year, _LAST_YEAR) + 1, 1, 1)  # noqa: DTZ001
        wall = self.start
        if not self._chooses:
            wall = self._month_of(number, end) or end
            number -= self.count(self.start, wall)
        walk = takewhile(lambda one: one < end, self.walk_from(wall))
        return next(islice(walk, number - 1, None), None)

    def _month_of(self, number: int, end: datetime) -> datetime | None:
        """Returns the beginning of the month in which the number is reached."""
        times, left = len(self._times), number + self._count_before(self.start)
        for month in self._months_from(self.start):
            first = datetime(month // _MONTHS, month % _MONTHS + 1, 1)  # noqa: DTZ001
            left -= self._days_in(month).bit_count() * times
            if left <= 0:
                return max(first, self.start)
            if first >= end:
                break
        return None

    def names(self, wall: datetime) -> bool:
        return next(self.walk_from(wall), None) == wall

    @property
    def most_in_period(self) -> int:
        """A number of wall times that no period exceeds, from which BYSETPOS chooses."""
        match self.frequency:
            case Frequency.YEARLY:
                days = self._days.most_in(len(self.months) or _MONTHS)
            case Frequency.MONTHLY:
                days = self._days.most_in(1)
            case Frequency.WEEKLY:
                days = len({weekday for weekday, _ in self.weekdays}) or _WEEK
            case Frequency.DAILY:
                days = 1
        return days * len(self.times)

    @cached_property
    def _days(self) -> RuleDays:
        in_year = self.frequency is Frequency.YEARLY and not self.months
        return RuleDays(self.months, self.month_days, self.weekdays, in_year)

    @cached_property
    def _times(self) -> Sequence[int]:
        """The times of each day, of which a daily BYSETPOS chooses the same ones every day."""
        if not self.positions or self._chooses:
            return self.times
        return [self.times[one] for one in self._places(len(self.times))]

    @property
    def _chooses(self) -> bool:
        return bool(self.positions) and self.frequency is not Frequency.DAILY

    @property
    def _end(self) -> datetime | None:
        return self.until if self.last is None else self.last

    @property
    def _last_year(self) -> int:
        return _LAST_YEAR if self._end is None else min(self._end.year, _LAST_YEAR)

    def _places(self, number: int) -> Sequence[int]:
        """Returns the places of the positions among so many, from 0 on."""
        found = {one - 1 if one > 0 else number + one for one in self._possible}
        return sorted(one for one in found if 0 <= one < number)

    @cached_property
    def _possible(self) -> Sequence[int]:
        most = self.most_in_period
        return [one for one in self.positions if abs(one) <= most]

    def _on_days(self, wall: datetime, passed: Container[date]) -> Iterator[datetime]:
        """Walks the wall times day by day; ends after 50 years without any."""
        found = before = wall.year
        for month in self._months_from(wall) if self._times else ():
            year = month // _MONTHS
            if year > before > found + LONGEST_SEARCH_YEARS or year > self._last_year:
                return
            before = year
            first = wall.day - 1 if month == month_of(wall) else 0
            days = self._days_in(month) >> first << first
            for place in places_of(days):
                found = year
                midnight = datetime(year, month % _MONTHS + 1, place + 1)  # noqa: DTZ001
                if midnight.date() in passed:
                    continue
                first = bisect_left(self._times, (wall - midnight).total_seconds())
                for one in self._times[first:]:
                    yield midnight + timedelta(seconds=one)

    def _months_from(self, wall: datetime) -> Iterator[int]:
        """Walks the months, counted from the year 0, of periods of the rule."""
        first = month_of(wall)
        match self.frequency:
            case Frequency.YEARLY:
                behind = (self.start.year - wall.year) % self.interval
                for year in range(wall.year + behind, _LAST_YEAR + 1, self.interval):
                    yield from range(max(first, year * _MONTHS), (year + 1) * _MONTHS)
            case Frequency.MONTHLY:
                behind = (month_of(self.start) - first) % self.interval
                yield from range(first + behind, (_LAST_YEAR + 1) * _MONTHS, self.interval)
            case Frequency.WEEKLY | Frequency.DAILY:
                yield from range(first, (_LAST_YEAR + 1) * _MONTHS)

    def _days_in(self, month: int) -> int:
        """Returns the days of a month that the rule names, as bits, also before its start."""
        year, month = month // _MONTHS, month % _MONTHS + 1
        match self.frequency:
            case Frequency.YEARLY:
                is_skipped = (year - self.start.year) % self.interval
            case Frequency.MONTHLY:
                is_skipped = (year * _MONTHS + month - 1 - month_of(self.start)) % self.interval
            case Frequency.WEEKLY | Frequency.DAILY:
                is_skipped = 0
        days = 0 if is_skipped else self._days.days_in(year, month)
        return days and days & self._phase_in(date(year, month, 1))

    def _phase_in(self, first: date) -> int:
        """Returns the days of a month that are in the weeks or on the days of the interval."""
        if self.interval == 1:
            return -1
        match self.frequency:
            case Frequency.WEEKLY:
                origin, run = self._week_of_start(), _WEEK
            case Frequency.DAILY:
                origin, run = self.start.date(), 1
            case _:
                return -1
        return runs_in(first, origin, run, run * self.interval)

    def _count_before(self, wall: datetime) -> int:
        """Counts the wall times of the same month before this one."""
        days = self._days_in(month_of(wall))
        count = (days & all_days(wall.day - 1)).bit_count() * len(self._times)
        if days >> wall.day - 1 & 1:
            midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
            count += bisect_left(self._times, (wall - midnight).total_seconds())
        return count

    def _in_periods(self, wall: datetime, passed: Container[date]) -> Iterator[datetime]:
        """Walks the wall times period by period; ends after 50 years without any."""
        found = wall.year
        if not self._possible:
            return
        for number in count(self._period_of(wall)):
            year = self._year_of(number)
            if year > self._last_year:
                return
            chosen = _chosen_in(self, number)
            yield from (one for one in chosen if one >= wall and one.date() not in passed)
            found = chosen[-1].year if chosen else found
            if year > found + LONGEST_SEARCH_YEARS:
                return

    def _period_of(self, wall: datetime) -> int:
        """Returns the number of the last period that begins at a wall time or before it."""
        match self.frequency:
            case Frequency.YEARLY:
                passed = wall.year - self.start.year
            case Frequency.MONTHLY:
                passed = month_of(wall) - month_of(self.start)
            case _:
                passed = (wall.date() - self._week_of_start()).days // _WEEK
        return max(0, passed // self.interval)

    def _year_of(self, number: int) -> int:
        """Returns the year in which a period begins; one after the last if that is beyond it."""
        passed = number * self.interval
        match self.frequency:
            case Frequency.YEARLY:
                return self.start.year + passed
            case Frequency.MONTHLY:
                return (month_of(self.start) + passed) // _MONTHS
            case _:
                day = self._week_of_start().toordinal() + passed * _WEEK
                return date.fromordinal(min(day, date(_LAST_YEAR + 1, 1, 1).toordinal())).year

    def days_of(self, number: int) -> Sequence[int]:
        """Lists the days of a year, a month or a week that the rule names, from 0001-01-01 on."""
        passed = number * self.interval
        match self.frequency:
            case Frequency.YEARLY:
                first = (self.start.year + passed) * _MONTHS
                months = range(first, first + _MONTHS)
            case Frequency.MONTHLY:
                months = range(month_of(self.start) + passed, month_of(self.start) + passed + 1)
            case _:
                week = self._week_of_start().toordinal() + passed * _WEEK
                days = [week + one for one in self._days_of_week]
                named = self.months
                return [one for one in days if not named or date.fromordinal(one).month in named]
        found = list[int]()
        for month in months:
            first = date(month // _MONTHS, month % _MONTHS + 1, 1).toordinal()
            found += [first + place for place in places_of(self._days_in(month))]
        return found

    def choose(self, number: int) -> Sequence[datetime]:
        """Returns the wall times of a period that the positions choose, sorted."""
        days, times = self.days_of(number), len(self.times)
        found = (divmod(one, times) for one in self._places(len(days) * times))
        return [
            datetime.fromordinal(days[day]) + timedelta(seconds=self.times[time])
            for day, time in found
        ]

    @cached_property
    def _days_of_week(self) -> Sequence[int]:
        named = {(weekday - self.week_start) % _WEEK for weekday, _ in self.weekdays}
        return sorted(named) or range(_WEEK)

    def _week_of_start(self) -> date:
        start = self.start.date()
        return start - timedelta(days=(start.weekday() - self.week_start) % _WEEK)


_chosen_in = lru_cache(maxsize=_CACHED_PERIODS)(Recurrence.choose)
