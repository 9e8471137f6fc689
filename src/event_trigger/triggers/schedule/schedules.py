"""Computes when a trigger fires, by arithmetic alone, so that tests of years take milliseconds.

All intervals are half-open, `[since, until)`, of aware UTC instants.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, assert_never

from event_trigger.instants import FIRST_YEAR, LAST_YEAR, just_after
from event_trigger.triggers.schedule.cron import parse_cron, read_rules
from event_trigger.triggers.schedule.errors import DetailName, ScheduleError

_SECOND = timedelta(seconds=1)
FIRST_INSTANT = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)  # exclusive
LONGEST_COUNT = timedelta(days=3653)  # counting a minutely cron for as long takes half a second


class Once(NamedTuple):
    """A single instant, aware UTC."""

    at: datetime
    until: datetime | None = None


class Every(NamedTuple):
    """The grid `start + n * interval` of elapsed time, n >= 0; `until` is inclusive."""

    start: datetime
    interval: timedelta
    until: datetime | None = None


class Cron(NamedTuple):
    """The matches of a cron(8) line in an IANA zone; `until` is inclusive.

    `rules` is the digest of past rules of the zone; None stands for the rules in force.
    """

    expression: str
    timezone: str = "UTC"
    until: datetime | None = None
    rules: str | None = None


Schedule = Once | Every | Cron


@dataclass(frozen=True, slots=True)
class InstantRange:
    """Consecutive planned instants, aware UTC; both `first` and `last` are among them."""

    first: datetime
    last: datetime
    count: int


def moved(schedule: Schedule, by: timedelta) -> Schedule:
    """Returns the schedule of a trigger whose anchor is later by so much; cron has no anchor."""
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


def next_fire_at_or_after(schedule: Schedule, since: datetime) -> datetime | None:
    """Finds the first instant from an aware one on; None if there is no more.

    None fires later than the schedule's `until`, nor after the year 9000.
    """
    since, end = as_utc(since), _end(schedule)
    if since >= end:
        return None
    if since < FIRST_INSTANT:
        return next_fire_at_or_after(schedule, FIRST_INSTANT)
    match schedule:
        case Once(at=at):
            fires_at = at if at >= since else None
        case Every(start=start, interval=interval):
            fires_at = start - (start - since) // interval * interval if since > start else start
        case Cron(expression=expression, timezone=timezone, rules=rules):
            fires_at = _next_match(expression, rules or read_rules(timezone).digest, since)
        case _:
            assert_never(schedule)
    return fires_at if fires_at is not None and fires_at < end else None


def latest_fire_in(schedule: Schedule, *, since: datetime, until: datetime) -> datetime | None:
    """Finds the newest instant in `[since, until)`, or None; takes logarithmic time."""
    since = max(as_utc(since), FIRST_INSTANT)
    until = min(as_utc(until), _end(schedule))
    match schedule:
        case Once(at=at):
            newest = at
        case Every(start=start, interval=interval):
            newest = start + max(0, _steps_before(start, interval, until) - 1) * interval
        case Cron():
            return _latest_match(schedule, since, until)
        case _:
            assert_never(schedule)
    return newest if since <= newest < until else None


def instants_in(schedule: Schedule, *, since: datetime, until: datetime) -> Iterator[datetime]:
    """Walks the instants in `[since, until)`, increasing, each computed when it is asked for."""
    while (instant := next_fire_at_or_after(schedule, since)) is not None and instant < until:
        yield instant
        since = just_after(instant)


def count_in(schedule: Schedule, *, since: datetime, until: datetime) -> int:
    """Counts the instants in `[since, until)`; takes at most a step for each day."""
    since = max(as_utc(since), FIRST_INSTANT)
    until = min(as_utc(until), _end(schedule))
    if since >= until:
        return 0
    match schedule:
        case Once(at=at):
            return int(since <= at < until)
        case Every(start=start, interval=interval):
            earlier = _steps_before(start, interval, since)
            return _steps_before(start, interval, until) - earlier
        case Cron(expression=expression, timezone=timezone, rules=rules):
            return parse_cron(expression, timezone, rules).count_in(since=since, until=until)
        case _:
            assert_never(schedule)


def range_in(schedule: Schedule, *, since: datetime, until: datetime) -> InstantRange | None:
    """Returns the first, the last and the count of the instants in `[since, until)`, if any."""
    last = latest_fire_in(schedule, since=since, until=until)
    first = None if last is None else next_fire_at_or_after(schedule, since)
    if first is None or last is None:
        return None
    return InstantRange(first, last, count_in(schedule, since=since, until=just_after(last)))


def first_of_newest(
    schedule: Schedule, *, since: datetime, until: datetime, most: int
) -> datetime | None:
    """Finds the first of the newest `most` instants in `[since, until)`; logarithmic time.

    1. Doubles a span before `until` until it holds enough instants.
    2. Halves the difference between a start with too many and one with few enough.
    """
    many, span = until, _SECOND
    while many > since and count_in(schedule, since=many, until=until) < most:
        many, span = max(since, until - span), 2 * span
    few = until
    if count_in(schedule, since=many, until=until) <= most:
        few = many
    while few - many >= _SECOND:  # no two instants are closer
        middle = many + (few - many) // 2
        if count_in(schedule, since=middle, until=until) > most:
            many = middle
        else:
            few = middle
    first = next_fire_at_or_after(schedule, few)
    return first if first is not None and first < until else None


def _steps_before(start: datetime, interval: timedelta, instant: datetime) -> int:
    """Counts the points of a grid earlier than an instant."""
    return 0 if instant <= start else -((start - instant) // interval)


@lru_cache(maxsize=4096)  # many triggers of a batch may have the same cron
def _next_match(expression: str, rules: str, since: datetime) -> datetime | None:
    return parse_cron(expression, "", rules).next_at_or_after(since)


def _latest_match(schedule: Cron, since: datetime, until: datetime) -> datetime | None:
    """Bisects: instants are whole seconds, and the search halves down to a single second."""
    newest = next_fire_at_or_after(schedule, since)
    if newest is None or newest >= until:
        return None
    while until - newest > _SECOND:
        middle = newest + (until - newest) // 2
        newer = next_fire_at_or_after(schedule, middle)
        if newer is None or newer >= until:
            until = middle
        else:
            newest = newer
    return newest


def _end(schedule: Schedule) -> datetime:
    """Returns the exclusive end of a schedule."""
    return END_OF_TIME if schedule.until is None else min(just_after(schedule.until), END_OF_TIME)


def as_utc(value: datetime, *, field: DetailName | None = None) -> datetime:
    """Converts an aware instant; raises ScheduleError for a naive one, or beyond the calendar."""
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        message = f"{field or 'time'} needs an offset, such as the Z of 2030-01-31T09:00:00Z."
        raise ScheduleError(message, field=field)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise bad_year(field) from None


def bad_year(field: DetailName | None) -> ScheduleError:
    message = f"{field or 'time'} must be in the years {FIRST_YEAR} to {LAST_YEAR}, in UTC."
    return ScheduleError(message, field=field)
