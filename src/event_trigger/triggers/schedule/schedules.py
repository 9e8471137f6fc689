"""Computes when a trigger fires, by arithmetic alone, so that tests of years take milliseconds.

All intervals are half-open, `[since, until)`, of aware UTC instants.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple, assert_never

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.bases import (
    END_OF_TIME,
    FIRST_INSTANT,
    Base,
    Every,
    Local,
    Once,
    as_utc,
    count_of,
    local_times,
    next_of,
    next_of_other_dates,
    steps_before,
)
from event_trigger.triggers.schedule.excluded import first_of_run, last_of_run, place_of
from event_trigger.triggers.schedule.walls.wall_times import SingleWall

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
NO_SHIFT = timedelta(0)
LONGEST_COUNT = timedelta(days=3653)  # counting a minutely cron for as long takes half a second


class Schedule(NamedTuple):
    """Planned instants, and the bounds of all of them.

    `since` and `until` are inclusive. None is on the `excluded` local dates, sorted; they are dates
    in UTC unless the base has a zone. All of these are judged before each instant becomes later by
    `shift`.
    """

    base: Base
    since: datetime | None = None
    until: datetime | None = None
    excluded: tuple[date, ...] = ()
    shift: timedelta = NO_SHIFT


@dataclass(frozen=True, slots=True)
class InstantRange:
    """Consecutive planned instants, aware UTC; both `first` and `last` are among them."""

    first: datetime
    last: datetime
    count: int


def moved(schedule: Schedule, by: timedelta) -> Schedule:
    """Returns the schedule of a trigger whose anchor is later by so much; local times have none."""
    match schedule.base:
        case Every(start=start, interval=interval):
            return schedule._replace(base=Every(start + by, interval))
        case Once(at=at):
            return schedule._replace(base=Once(at + by))
        case Local():
            return schedule
        case _:
            assert_never(schedule.base)


def is_recurring(schedule: Schedule) -> bool:
    base = schedule.base
    return not (
        isinstance(base, Once) or (isinstance(base, Local) and isinstance(base.rule, SingleWall))
    )


def next_fire_at_or_after(schedule: Schedule, since: datetime) -> datetime | None:
    """Finds the first instant from an aware one on; None if there is no more.

    None is planned after the year 9000, nor later than the schedule's `until`, which is judged
    before the shift.
    """
    return _next_before(schedule, max(as_utc(since), FIRST_INSTANT), END_OF_TIME)


def _next_before(schedule: Schedule, since: datetime, until: datetime) -> datetime | None:
    """Finds the first instant in `[since, until)`.

    1. Asks for the next instant, which is cached: of most schedules it is not excluded.
    2. Goes on behind its date, and the excluded dates that follow it, as long as it must.
    """
    since, end = _nominal(schedule, since, until)
    at = next_of(schedule.base, since) if since < end else None
    while at is not None and at < end:
        place = _place_of_excluded(schedule, at)
        if place is None:
            return at + schedule.shift
        others = schedule.excluded[last_of_run(schedule.excluded, place) :]
        behind = max(just_after(at), _midnight(schedule, others[0] + _DAY))
        at = next_of_other_dates(schedule.base, behind, _up_to(others, end))
    return None


def latest_fire_in(schedule: Schedule, *, since: datetime, until: datetime) -> datetime | None:
    """Finds the newest instant in `[since, until)`, or None; takes logarithmic time."""
    since, until = max(as_utc(since), FIRST_INSTANT), as_utc(until)
    if isinstance(schedule.base, Local):
        return _latest_by_bisection(schedule, since, until)
    first, end = _nominal(schedule, since, until)
    while first < end:
        newest = _newest_before(schedule.base, end)
        if newest < first or newest >= end:
            return None
        place = _place_of_excluded(schedule, newest)
        if place is None:
            return newest + schedule.shift
        begin = first_of_run(schedule.excluded, place)
        end = _day(schedule, schedule.excluded[begin])[0]
    return None


def _newest_before(base: Once | Every, end: datetime) -> datetime:
    """Returns the newest instant before an end; the first one if there is none."""
    match base:
        case Once(at=at):
            return at
        case Every(start=start, interval=interval):
            return start + max(0, steps_before(start, interval, end) - 1) * interval
        case _:
            assert_never(base)


def instants_in(schedule: Schedule, *, since: datetime, until: datetime) -> Iterator[datetime]:
    """Walks the instants in `[since, until)`, increasing, each computed when it is asked for."""
    while (instant := next_fire_at_or_after(schedule, since)) is not None and instant < until:
        yield instant
        since = just_after(instant)


def count_in(schedule: Schedule, *, since: datetime, until: datetime) -> int:
    """Counts the instants in `[since, until)`; takes at most a step for each day."""
    first, end = _nominal(schedule, max(as_utc(since), FIRST_INSTANT), as_utc(until))
    count = count_of(schedule.base, first, end)
    for one in _excluded_in(schedule, first, end):
        midnight, next_midnight = _day(schedule, one)
        count -= count_of(schedule.base, max(first, midnight), min(end, next_midnight))
    return count


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


def is_excepted(schedule: Schedule, instant: datetime) -> bool:
    """Tells whether an instant would be planned but for the excluded dates."""
    at = instant - schedule.shift
    return _place_of_excluded(schedule, at) is not None and (
        next_fire_at_or_after(schedule._replace(excluded=()), instant) == instant
    )


def zone_of(schedule: Schedule) -> tzinfo:
    """Returns the zone of a schedule's local times; UTC if it has none."""
    return local_times(schedule.base).zone if isinstance(schedule.base, Local) else UTC


def _nominal(schedule: Schedule, since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Moves a window back by the shift, and cuts it at the bounds."""
    first = since - schedule.shift
    if schedule.since is not None:
        first = max(first, schedule.since)
    return first, min(until - schedule.shift, _end(schedule))


def _place_of_excluded(schedule: Schedule, at: datetime) -> int | None:
    """Returns the place of an instant's local date among the excluded ones, if it is one."""
    if not schedule.excluded:
        return None
    day = at.astimezone(zone_of(schedule)).date()
    return place_of(day, schedule.excluded)


def _up_to(excluded: tuple[date, ...], end: datetime) -> tuple[date, ...]:
    """Leaves out dates behind an end, so that no search goes on there."""
    return excluded[: bisect_left(excluded, end.date() + 2 * _DAY)]


def _excluded_in(schedule: Schedule, since: datetime, until: datetime) -> tuple[date, ...]:
    """Returns the excluded dates that a window may touch."""
    if not schedule.excluded or since >= until:
        return ()
    first = bisect_left(schedule.excluded, since.date() - _DAY)
    return schedule.excluded[first : bisect_left(schedule.excluded, until.date() + 2 * _DAY)]


def _day(schedule: Schedule, day: date) -> tuple[datetime, datetime]:
    """Returns the first instant of a local date, and that of the next one."""
    return _midnight(schedule, day), _midnight(schedule, day + _DAY)


def _midnight(schedule: Schedule, day: date) -> datetime:
    """Returns the first instant of a local date."""
    if isinstance(schedule.base, Local):
        return local_times(schedule.base).first_pass(datetime.combine(day, time()))
    return datetime.combine(day, time(), UTC)


def _latest_by_bisection(schedule: Schedule, since: datetime, until: datetime) -> datetime | None:
    """Bisects: no two instants are closer than a second."""
    newest = _next_before(schedule, since, until)
    if newest is None:
        return None
    while until - newest > _SECOND:
        middle = newest + (until - newest) // 2
        newer = _next_before(schedule, middle, until)
        if newer is None:
            until = middle
        else:
            newest = newer
    return newest


def _end(schedule: Schedule) -> datetime:
    """Returns the exclusive end of a schedule, before it is shifted."""
    return END_OF_TIME if schedule.until is None else min(just_after(schedule.until), END_OF_TIME)
