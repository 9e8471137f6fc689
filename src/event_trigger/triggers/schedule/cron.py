"""cronsim walks a calendar without clocks; which instant a local time is, is decided here.

In its own time zone mode cronsim takes a leading `*` for "at least hourly" and loses or adds
instants where the offset changes, so it is only ever given naive local time.
"""

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.zone_rules import Rules, zone_rules

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# Since 1970 no clock was put back by more than 7 hours, nor changed twice within 4 days.
_LONGEST_REWIND = timedelta(days=1)
_LONGEST_EXPRESSION = 256
_EVERY_HOUR = frozenset(range(24))
_ANY_DATE = datetime(2000, 1, 1)  # noqa: DTZ001 - local time, in no zone yet

_ALIASES = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NUMBERS = {
    "month": {name: str(number) for number, name in enumerate(_MONTHS, start=1)},
    "day-of-week": {
        name: str(number)
        for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))
    },
}
_FIELDS = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT",
}
_NAME = re.compile(r"[A-Z]+")
_VALUE = r"(?:[0-9]+|[A-Z]+)"
_TERM = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/[0-9]+)?"
_LIST = re.compile(rf"{_TERM}(?:,{_TERM})*")
_STEPPED_RANGE = re.compile(r"([0-9]+)-([0-9]+)/[0-9]+")

_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
_LONGEST_ZONE = 64
# Files beside the zones that depend on the machine, count leap seconds or stand for "not set".
_NOT_ZONES = re.compile(r"(?:posix|right)/.*|localtime|posixrules|Factory")


@dataclass(frozen=True, slots=True)
class Crontab:
    """A parsed expression in its zone; `next_after` answers with whole seconds in aware UTC."""

    calendar: CronSim
    zone: ZoneInfo
    at_least_hourly: bool

    def next_after(self, after: datetime) -> datetime | None:
        """The first instant strictly after an aware UTC one; None if 50 years have no match."""
        after = after.replace(microsecond=0)
        return self._next_shown(after) if self.at_least_hourly else self._next_fresh(after)

    def count_between(self, after: datetime, until: datetime) -> int:
        """How many there are in (after, until]; takes time for each day, not for each of them."""
        count = 0
        while after < until:
            end, is_plain = self._stretch(after, until)
            if is_plain:
                count += self._count_walls(self.wall(after), self.wall(end))
            else:
                count += self._count_walked(after, end)
            after = end
        return count

    def plans(self, instant: datetime) -> bool:
        """Whether an aware instant is one of those planned; most are told by the clock alone."""
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
        return self.next_after(instant - _MICROSECOND) == instant

    def shows(self, wall: datetime) -> bool:
        """Whether a naive local time is one that the expression names."""
        return next(self._matches(wall - _SECOND), None) == wall

    def next_wall_after(self, after: datetime) -> datetime:
        """The first local time later than a naive one that the expression names."""
        return next(self._matches(after))

    def _count_walked(self, after: datetime, until: datetime) -> int:
        count = 0
        while (instant := self.next_after(after)) is not None and instant <= until:
            count, after = count + 1, instant
        return count

    def _stretch(self, after: datetime, until: datetime) -> tuple[datetime, bool]:
        """How far to count next, and whether the clocks show each local time once on the way.

        Looks at three days in all, in which the clocks change once at the most.
        """
        before, end = after - _DAY, min(until, after + 2 * _DAY)
        if self._offset(before) == self._offset(end):
            return end, True
        change = self._change(before.replace(microsecond=0), end.replace(microsecond=0) + _SECOND)
        if after < change - _SECOND:
            return min(until, change - _SECOND), True
        rewound = self._offset(change - _SECOND) - self._offset(change)
        caught_up = change + max(rewound, timedelta(0))
        return (min(until, caught_up), False) if after < caught_up else (end, True)

    def _count_walls(self, after: datetime, until: datetime) -> int:
        """How many local times in (after, until] the expression names."""
        day, count = after.date(), self._count_up_to(until) - self._count_up_to(after)
        while day < until.date():
            count += len(self.calendar.hours) * len(self.calendar.minutes) * self._names(day)
            day += _DAY
        return count

    def _count_up_to(self, wall: datetime) -> int:
        """How many of its day, itself included."""
        if not self._names(wall.date()):
            return 0
        hours, minutes = self.calendar.hours, self.calendar.minutes
        in_this_hour = sum(one <= wall.minute for one in minutes) if wall.hour in hours else 0
        return sum(one < wall.hour for one in hours) * len(minutes) + in_this_hour

    def _names(self, day: date) -> bool:
        return day.month in self.calendar.months and bool(self.calendar.match_day(day))

    def _next_fresh(self, after: datetime) -> datetime | None:
        """Fire once for each local time; passing over what repeats takes under a day of it."""
        instants = map(self.first_pass, self._matches(self.wall(after)))
        return next((instant for instant in instants if instant > after), None)

    def _next_shown(self, after: datetime) -> datetime | None:
        """Fire whenever the clock on the wall shows a match; each turn is one change of it."""
        earliest = after + _SECOND
        while (match := next(self._matches(self.wall(earliest) - _SECOND), None)) is not None:
            instant = self.first_pass(match)
            if instant < earliest:
                instant = _utc(match.replace(tzinfo=self.zone, fold=1))
            rewound = self._rewind(earliest, min(instant, earliest + _LONGEST_REWIND))
            if rewound is None and self.wall(instant) == match:
                return instant
            earliest = rewound or instant  # which is the end of a gap, if the match is in one
        return None

    def _matches(self, after: datetime) -> Iterator[datetime]:
        walk = copy(self.calendar)  # the parsed one is cached, and shared by threads
        walk.dt = after
        return walk

    def first_pass(self, local: datetime) -> datetime:
        """When a local time first is; the first instant after the gap if it never is (PEP 495)."""
        instant = _utc(local.replace(tzinfo=self.zone))
        if self.wall(instant) == local:
            return instant
        return self._change(_utc(local.replace(tzinfo=self.zone, fold=1)), instant)

    def _rewind(self, start: datetime, end: datetime) -> datetime | None:
        """The instant in (start, end] from which local time repeats."""
        if self._offset(end) >= self._offset(start):
            return None
        return self._change(start, end)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The first instant with another offset than `before`; whole seconds, by bisection."""
        offset = self._offset(before)
        while (half := (after - before) // (2 * _SECOND) * _SECOND) > timedelta(0):
            if self._offset(before + half) == offset:
                before += half
            else:
                after = before + half
        return after

    def wall(self, instant: datetime) -> datetime:
        """What the clock on the wall shows, without a zone."""
        return instant.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, instant: datetime) -> timedelta:
        return self.wall(instant) - instant.replace(tzinfo=None)


def parse_cron(expression: str, timezone: str, rules: str | None = None) -> Crontab:
    """Read the five fields of cron(8), or an `@` name, in an IANA zone; raises ScheduleError.

    `rules` is the digest of past rules of the zone; by default those in force count.
    """
    _parse_fields(expression)  # refuses it before the zone
    return _crontab(expression, rules or read_rules(timezone).digest)


@lru_cache(maxsize=1024)
def _parse_fields(expression: str) -> CronSim:
    fields = _read_fields(expression)
    try:
        return CronSim(" ".join(fields), _ANY_DATE)
    except CronSimError:
        message = "The cron expression names days its months do not have, so it can never fire."
        raise ScheduleError(message, field="cron") from None


@lru_cache(maxsize=1024)
def _crontab(expression: str, digest: str) -> Crontab:
    rules = zone_rules().get_known(digest)
    if rules is None:
        raise ScheduleError("The zone's rules of that time are not on record.", field="timezone")
    calendar = _parse_fields(expression)
    return Crontab(calendar, rules.zone, calendar.hours == _EVERY_HOUR)


def read_zone(key: str) -> ZoneInfo:
    """The IANA zone of that name; raises ScheduleError, also for names that are files or paths."""
    return read_rules(key).zone


def read_rules(key: str) -> Rules:
    """The rules in force for a zone; raises ScheduleError as `read_zone` does."""
    found = zone_rules().get_in_force(key)  # none but those that were read below
    return found or _read_rules(key)


def _read_rules(key: str) -> Rules:
    try:
        if len(key) <= _LONGEST_ZONE and _ZONE.fullmatch(key) and not _NOT_ZONES.fullmatch(key):
            return zone_rules().get(key)
    except (OSError, LookupError, ValueError):
        pass  # a folder, a missing file, a file that is no zone
    message = "timezone must be a name in the IANA database, such as Europe/Berlin or UTC."
    raise ScheduleError(message, field="timezone")


def _read_fields(expression: str) -> list[str]:
    if len(expression) > _LONGEST_EXPRESSION:
        message = f"cron must have at most {_LONGEST_EXPRESSION} characters."
        raise ScheduleError(message, field="cron")
    if not (expression.isascii() and expression.isprintable()):
        message = "cron must be plain ASCII characters, its fields separated by spaces."
        raise ScheduleError(message, field="cron")
    text = expression.strip().upper()
    fields = _ALIASES.get(text, text).split()
    if text.startswith("@") and text not in _ALIASES:
        names = ", ".join(_ALIASES).lower()
        raise ScheduleError(f"cron has no such name: use one of {names}.", field="cron")
    if len(fields) != len(_FIELDS):
        names = ", ".join(_FIELDS)
        message = f"cron must have five fields ({names}): there is none for seconds or years."
        raise ScheduleError(message, field="cron")
    return [_read_field(name, text) for name, text in zip(_FIELDS, fields, strict=True)]


def _read_field(name: str, text: str) -> str:
    """Spell one field for cronsim, which takes the 5-5/15 of cron(8), a 5, for 5-59/15."""
    numbers = _NUMBERS.get(name, {})
    digits = _NAME.sub(lambda match: numbers.get(match[0], match[0]), text)
    if not _LIST.fullmatch(text) or _NAME.search(digits):
        raise _bad_field(name)
    field = _STEPPED_RANGE.sub(_without_idle_step, digits)
    try:
        CronSim(" ".join(field if other == name else "*" for other in _FIELDS), _ANY_DATE)
    except CronSimError:
        raise _bad_field(name) from None
    return field


def _without_idle_step(term: re.Match[str]) -> str:
    return term[1] if int(term[1]) == int(term[2]) else term[0]


def _bad_field(name: str) -> ScheduleError:
    message = (
        f"The {name} field of cron must be *, or a list of numbers and ascending ranges"
        f" within {_FIELDS[name]}, with steps of at least 1 such as */2."
    )
    return ScheduleError(message, field="cron")


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
