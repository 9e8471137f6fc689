"""Computes the instants of a cron line in its time zone, by the rules of cron(8).

cronsim walks the calendar in naive local time only. In its own time zone mode it takes a leading
`*` for "at least hourly" and loses or adds instants where the offset changes, so this module maps
local times to instants itself. Instants and clock changes are whole seconds.
"""

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from event_trigger.triggers.schedule.cron_fields import parse_fields
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.zone_rules import Rules, zone_rules

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# Since 1970 no clock was put back by more than 7 hours, nor changed twice within 4 days.
_LONGEST_REWIND = timedelta(days=1)
_EVERY_HOUR = frozenset(range(24))

_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
_MAX_ZONE_CHARACTERS = 64
# Files beside the zones that depend on the machine, count leap seconds or stand for "not set".
_NOT_ZONES = re.compile(r"(?:posix|right)/.*|localtime|posixrules|Factory")


@dataclass(frozen=True, slots=True)
class Crontab:
    """A cron line in a zone. Instants are aware UTC; "wall" times are naive local times."""

    calendar: CronSim
    zone: ZoneInfo
    at_least_hourly: bool

    def next_at_or_after(self, since: datetime) -> datetime | None:
        """Finds the first instant from an aware UTC one on; None if 50 years have no match."""
        since = _whole_second(since)
        return self._next_shown(since) if self.at_least_hourly else self._next_fresh(since)

    def count_in(self, *, since: datetime, until: datetime) -> int:
        """Counts the instants in `[since, until)`; takes time for each day, not for each one."""
        since, until = _whole_second(since), _whole_second(until)
        count = 0
        while since < until:
            end, is_plain = self._cut(since, until)
            if is_plain:
                wall = self.wall(since)
                count += self._count_walls(wall, wall + (end - since))
            else:
                count += self._count_walked(since, end)
            since = end
        return count

    def plans(self, instant: datetime) -> bool:
        """Tells whether an aware instant is a planned one, for most by their wall time alone."""
        local = instant.astimezone(self.zone)
        wall, calendar = local.replace(tzinfo=None, fold=0), self.calendar
        if (
            not local.fold
            and wall.replace(second=0, microsecond=0) == wall
            and wall.minute in calendar.minutes
            and wall.hour in calendar.hours
            and wall.month in calendar.months
            and calendar.match_day(wall.date())
        ):
            return True
        return self.next_at_or_after(instant) == instant

    def names(self, wall: datetime) -> bool:
        """Tells whether the cron line names a wall time."""
        return next(self._walls_from(wall), None) == wall

    def next_wall_at_or_after(self, wall: datetime) -> datetime:
        """Finds the first wall time, from one on, that the cron line names."""
        return next(self._walls_from(wall))

    def wall(self, instant: datetime) -> datetime:
        """Returns the naive local time of an instant."""
        return instant.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def first_pass(self, wall: datetime) -> datetime:
        """Returns the first instant of a wall time, or the end of the gap it is in (PEP 495)."""
        instant = _utc(wall.replace(tzinfo=self.zone))
        if self.wall(instant) == wall:
            return instant
        return self._change(_utc(wall.replace(tzinfo=self.zone, fold=1)), instant)

    def _next_fresh(self, since: datetime) -> datetime | None:
        """Finds the next instant of a line that fires once for each wall time.

        The search begins at the wall time of the second before: a gap that ends at `since` skipped
        wall times that are due there. Passing over repeated ones takes under a day of them.
        """
        walls = self._walls_from(self.wall(since - _SECOND) + _SECOND)
        return next((one for one in map(self.first_pass, walls) if one >= since), None)

    def _next_shown(self, since: datetime) -> datetime | None:
        """Finds the next instant at which the clock shows a match; one clock change a turn."""
        while (match := next(self._walls_from(self.wall(since)), None)) is not None:
            instant = self.first_pass(match)
            if instant < since:
                instant = _utc(match.replace(tzinfo=self.zone, fold=1))
            rewound = self._rewind(since, min(instant, since + _LONGEST_REWIND))
            if rewound is None and self.wall(instant) == match:
                return instant
            since = rewound or instant  # the end of a gap, if the match is in one
        return None

    def _walls_from(self, wall: datetime) -> Iterator[datetime]:
        """Walks the wall times that the line names, from a whole second on."""
        walk = copy(self.calendar)  # the parsed one is cached, and shared by threads
        walk.dt = wall - _SECOND  # cronsim begins a second later
        return walk

    def _cut(self, since: datetime, until: datetime) -> tuple[datetime, bool]:
        """Returns the end of the part to count next, and whether each wall time in it comes once.

        Looks at three days in all, in which the clocks change at most once.
        """
        before, end = since - _DAY, min(until, since + 2 * _DAY)
        if self._offset(before) == self._offset(end):
            return end, True
        change = self._change(before, end)
        if since < change:
            return min(until, change), True
        rewound = self._offset(change - _SECOND) - self._offset(change)
        plain_again = change + max(rewound, _SECOND)  # a gap's wall times fire as it ends
        return (min(until, plain_again), False) if since < plain_again else (end, True)

    def _count_walked(self, since: datetime, until: datetime) -> int:
        count = 0
        while (instant := self.next_at_or_after(since)) is not None and instant < until:
            count, since = count + 1, instant + _SECOND
        return count

    def _count_walls(self, since: datetime, until: datetime) -> int:
        """Counts the wall times in `[since, until)` that the line names."""
        day, count = since.date(), self._count_before(until) - self._count_before(since)
        while day < until.date():
            count += len(self.calendar.hours) * len(self.calendar.minutes) * self._names_day(day)
            day += _DAY
        return count

    def _count_before(self, wall: datetime) -> int:
        """Counts the named wall times of the same day before this one."""
        if not self._names_day(wall.date()):
            return 0
        hours, minutes = self.calendar.hours, self.calendar.minutes
        minute = wall.minute + (wall.second > 0)
        in_this_hour = sum(one < minute for one in minutes) if wall.hour in hours else 0
        return sum(one < wall.hour for one in hours) * len(minutes) + in_this_hour

    def _names_day(self, day: date) -> bool:
        return day.month in self.calendar.months and bool(self.calendar.match_day(day))

    def _rewind(self, since: datetime, last: datetime) -> datetime | None:
        """Finds the instant later than `since`, up to `last`, from which wall times repeat."""
        if self._offset(last) >= self._offset(since):
            return None
        return self._change(since, last)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Finds the first instant whose offset differs from that of `before`, by bisection."""
        offset = self._offset(before)
        while (half := (after - before) // (2 * _SECOND) * _SECOND) > timedelta(0):
            if self._offset(before + half) == offset:
                before += half
            else:
                after = before + half
        return after

    def _offset(self, instant: datetime) -> timedelta:
        return self.wall(instant) - instant.replace(tzinfo=None)


def parse_cron(expression: str, timezone: str, rules: str | None = None) -> Crontab:
    """Reads a cron line, or an `@` name, in an IANA zone; raises ScheduleError.

    `rules` is the digest of past rules of the zone; None stands for the rules in force.
    """
    parse_fields(expression)  # refuses it before the zone
    return _crontab(expression, rules or read_rules(timezone).digest)


@lru_cache(maxsize=1024)
def _crontab(expression: str, digest: str) -> Crontab:
    rules = zone_rules().get_known(digest)
    if rules is None:
        raise ScheduleError("The zone's rules of that time are not on record.", field="timezone")
    calendar = parse_fields(expression)
    return Crontab(calendar, rules.zone, calendar.hours == _EVERY_HOUR)


def read_rules(key: str) -> Rules:
    """Returns the rules in force for an IANA zone; raises ScheduleError, also for file names."""
    found = zone_rules().get_in_force(key)  # only zones that passed the checks below
    return found or _read_rules(key)


def _read_rules(key: str) -> Rules:
    try:
        if (
            len(key) <= _MAX_ZONE_CHARACTERS
            and _ZONE_NAME.fullmatch(key)
            and not _NOT_ZONES.fullmatch(key)
        ):
            return zone_rules().get(key)
    except (OSError, LookupError, ValueError):
        pass  # a folder, a missing file, a file that is no zone
    message = "timezone must be a name in the IANA database, such as Europe/Berlin or UTC."
    raise ScheduleError(message, field="timezone")


def _whole_second(instant: datetime) -> datetime:
    """Rounds up: between two whole seconds no cron line fires."""
    if not instant.microsecond:
        return instant
    return instant.replace(microsecond=0) + _SECOND


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
