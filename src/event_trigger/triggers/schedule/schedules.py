"""When a trigger fires is arithmetic alone, so that testing a year of clock changes takes none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, assert_never

from event_trigger.triggers.schedule.cron import parse_cron, read_rules
from event_trigger.triggers.schedule.errors import Field, ScheduleError
from event_trigger.triggers.schedule.interval import parse_interval

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
BEFORE_ALL = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC) - _MICROSECOND
LAST_INSTANT = datetime(_LAST_YEAR + 1, 1, 1, tzinfo=UTC) - _MICROSECOND
LONGEST_COUNT = timedelta(days=3653)  # counting a minutely cron for as long takes half a second


class Once(NamedTuple):
    """A single instant, aware UTC."""

    at: datetime
    until: datetime | None = None


class Every(NamedTuple):
    """The grid `start + n * interval` of elapsed time, n >= 0, up to and including `until`."""

    start: datetime
    interval: timedelta
    until: datetime | None = None


class Cron(NamedTuple):
    """The matches of a cron(8) expression in an IANA zone, up to and including `until`.

    `rules` is the digest of past rules of the zone; None stands for those in force.
    """

    expression: str
    timezone: str = "UTC"
    until: datetime | None = None
    rules: str | None = None


Schedule = Once | Every | Cron


@dataclass(frozen=True, slots=True)
class InstantRange:
    """Consecutive planned instants, `first` and `last` included, aware UTC."""

    first: datetime
    last: datetime
    count: int


def moved(schedule: Schedule, by: timedelta) -> Schedule:
    """The instants that were counted from a trigger's anchor, if that had been so much later."""
    match schedule:
        case Every(start=start, interval=interval, until=until):
            return Every(start + by, interval, until)
        case Once(at=at, until=until):
            return Once(at + by, until)
        case Cron():
            return schedule
        case _:
            assert_never(schedule)


def is_recurring(schedule: Schedule) -> bool:
    return not isinstance(schedule, Once)


def schedule_from(
    *,
    anchor: datetime,
    time: datetime | None = None,
    interval: int | float | str | None = None,
    recurring: bool | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    until: datetime | None = None,
) -> Schedule:
    """What the details of a trigger created at `anchor` mean, or ScheduleError (CONTRACT.md)."""
    created_at = _instant(anchor, None)
    end = None if until is None else _instant(until, "until")
    if cron is not None:
        if time is not None or interval is not None:
            message = "cron cannot be combined with time or interval: leave out one or the other."
            raise ScheduleError(message, field="cron")
        if recurring is False:
            message = "A cron line always recurs: leave recurring out, or give a time instead."
            raise ScheduleError(message, field="recurring")
        return _cron(cron, "UTC" if timezone is None else timezone, end)
    if timezone is not None:
        message = "timezone belongs to cron: leave it out, and give time its own offset."
        raise ScheduleError(message, field="timezone")
    start = None if time is None else _instant(time, "time")
    step = None if interval is None else parse_interval(interval)
    if start is None and step is None:
        raise ScheduleError("Nothing to fire on: give a time, an interval or a cron.")
    if recurring:
        return _every(created_at, start, step, end)
    if end is not None:
        message = "until belongs to a recurring schedule: set recurring to true, or leave it out."
        raise ScheduleError(message, field="until")
    return _once(created_at, start, step)


def next_fire_after(schedule: Schedule, after: datetime) -> datetime | None:
    """The first instant strictly after an aware one, in aware UTC, or None when there is no more.

    There is none past `until`, which is itself included, nor after the year 9000.
    """
    after = max(_utc(after, None), BEFORE_ALL)
    end = _end(schedule)
    if after >= end:
        return None
    match schedule:
        case Once(at=at):
            fires_at = at if at > after else None
        case Every(start=start, interval=interval):
            missed = 0 if after < start else (after - start) // interval + 1
            fires_at = start + missed * interval
        case Cron(expression=expression, timezone=timezone, rules=rules):
            fires_at = _next_match(expression, rules or read_rules(timezone).digest, after)
        case _:
            assert_never(schedule)
    return fires_at if fires_at is not None and fires_at <= end else None


def latest_fire_between(schedule: Schedule, *, after: datetime, until: datetime) -> datetime | None:
    """The newest instant in (after, until], aware UTC, or None; takes logarithmic time."""
    after = max(_utc(after, None), BEFORE_ALL)
    until = min(_utc(until, None), _end(schedule))
    match schedule:
        case Once(at=at):
            newest = at
        case Every(start=start, interval=interval):
            newest = start + (until - start) // interval * interval if until >= start else start
        case Cron():
            return _latest_match(schedule, after, until)
        case _:
            assert_never(schedule)
    return newest if after < newest <= until else None


def instants_between(schedule: Schedule, *, after: datetime, until: datetime) -> Iterator[datetime]:
    """Those in (after, until], aware UTC, increasing, computed as they are asked for."""
    while (instant := next_fire_after(schedule, after)) is not None and instant <= until:
        yield instant
        after = instant


def count_between(schedule: Schedule, *, after: datetime, until: datetime) -> int:
    """How many there are in (after, until]; takes a step for each day at the most."""
    after = max(_utc(after, None), BEFORE_ALL)
    until = min(_utc(until, None), _end(schedule))
    if after >= until:
        return 0
    match schedule:
        case Once(at=at):
            return int(after < at <= until)
        case Every(start=start, interval=interval):
            first = max(0, (after - start) // interval + 1)
            return max(0, (until - start) // interval + 1 - first)
        case Cron(expression=expression, timezone=timezone, rules=rules):
            return parse_cron(expression, timezone, rules).count_between(after, until)
        case _:
            assert_never(schedule)


def range_between(schedule: Schedule, *, after: datetime, until: datetime) -> InstantRange | None:
    """All of those in (after, until], if there are any."""
    last = latest_fire_between(schedule, after=after, until=until)
    first = None if last is None else next_fire_after(schedule, after)
    if first is None or last is None:
        return None
    return InstantRange(first, last, count_between(schedule, after=after, until=last))


def newest_between(
    schedule: Schedule, *, after: datetime, until: datetime, most: int
) -> datetime | None:
    """The first of the newest `most` in (after, until]; takes logarithmic time."""
    start, span = until, _SECOND
    while start > after and count_between(schedule, after=start, until=until) < most:
        start, span = max(after, until - span), 2 * span
    few = until
    if count_between(schedule, after=start, until=until) <= most:
        few = start
    while few - start >= _SECOND:  # which no two of them are less than apart
        middle = start + (few - start) // 2
        if count_between(schedule, after=middle, until=until) > most:
            start = middle
        else:
            few = middle
    first = next_fire_after(schedule, few)
    return first if first is not None and first <= until else None


def _cron(expression: str, timezone: str, until: datetime | None) -> Cron:
    parse_cron(expression, timezone)  # refuses what next_fire_after could not read
    return Cron(expression, timezone, until)


def _every(
    anchor: datetime, time: datetime | None, interval: timedelta | None, until: datetime | None
) -> Every:
    if interval is None:
        message = "recurring needs an interval or a cron: add one, or set recurring to false."
        raise ScheduleError(message, field="recurring")
    return Every(anchor + interval if time is None else time, interval, until)


def _once(anchor: datetime, time: datetime | None, interval: timedelta | None) -> Once:
    return Once(time or anchor + (interval or timedelta(0)))


@lru_cache(maxsize=4096)  # many triggers of a batch may have the same cron
def _next_match(expression: str, rules: str, after: datetime) -> datetime | None:
    return parse_cron(expression, "", rules).next_after(after)


def _latest_match(schedule: Cron, after: datetime, until: datetime) -> datetime | None:
    """Bisect: matches are whole seconds, and the search halves until less than one is left."""
    newest = next_fire_after(schedule, after)
    if newest is None or newest > until:
        return None
    while until - newest >= _SECOND:
        middle = newest + (until - newest) // 2
        newer = next_fire_after(schedule, middle)
        if newer is None or newer > until:
            until = middle
        else:
            newest = newer
    return newest


def _end(schedule: Schedule) -> datetime:
    return LAST_INSTANT if schedule.until is None else min(schedule.until, LAST_INSTANT)


def _instant(value: datetime, field: Field | None) -> datetime:
    instant = _utc(value, field)
    if not BEFORE_ALL < instant <= LAST_INSTANT:
        raise _bad_year(field)
    return instant


def _utc(value: datetime, field: Field | None) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        message = f"{field or 'time'} needs an offset, such as the Z of 2030-01-31T09:00:00Z."
        raise ScheduleError(message, field=field)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise _bad_year(field) from None


def _bad_year(field: Field | None) -> ScheduleError:
    message = f"{field or 'time'} must be in the years {_FIRST_YEAR} to {_LAST_YEAR}, in UTC."
    return ScheduleError(message, field=field)
