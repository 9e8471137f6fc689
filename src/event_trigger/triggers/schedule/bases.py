"""Computes the instants of a schedule before its bounds, exceptions and spread.

All windows are half-open, `[since, until)`, of aware UTC instants.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, assert_never

from event_trigger.instants import FIRST_YEAR, LAST_YEAR
from event_trigger.triggers.schedule.cron import read_line
from event_trigger.triggers.schedule.errors import DetailName, ScheduleError
from event_trigger.triggers.schedule.local_times import LocalTimes
from event_trigger.triggers.schedule.walls.cron import CronWalls
from event_trigger.triggers.schedule.walls.recurrence import Recurrence
from event_trigger.triggers.schedule.walls.wall_times import CivilDays, CivilMonths, SingleWall
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.triggers.schedule.zones import read_rules

FIRST_INSTANT = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)  # exclusive


class Once(NamedTuple):
    """A single instant, aware UTC."""

    at: datetime


class Every(NamedTuple):
    """The grid `start + n * interval` of elapsed time, n >= 0."""

    start: datetime
    interval: timedelta


class Cron(NamedTuple):
    """Lines of cron(8)."""

    lines: tuple[str, ...]


LocalRule = Cron | CivilDays | CivilMonths | Recurrence | SingleWall


class Local(NamedTuple):
    """Local times in an IANA zone.

    `rules` is the digest of past rules of the zone; None stands for the rules in force. `first` is
    the start if it is the second time that the clock shows its local time; else None.
    """

    rule: LocalRule
    timezone: str = "UTC"
    rules: str | None = None
    first: datetime | None = None


Base = Once | Every | Local


def local_times(local: Local) -> LocalTimes:
    """Returns the instants of local times, by the rules that they name; raises ScheduleError."""
    digest = local.rules or read_rules(local.timezone).digest
    return _local_times(local.rule, digest, local.first)


def next_of(base: Base, since: datetime) -> datetime | None:
    """Finds the first instant from an aware one on; None if there is no more."""
    match base:
        case Once(at=at):
            return at if at >= since else None
        case Every(start=start, interval=interval):
            return start - (start - since) // interval * interval if since > start else start
        case Local(rule=rule, timezone=timezone, rules=rules, first=first):
            return _next_local(rule, rules or read_rules(timezone).digest, first, since)
        case _:
            assert_never(base)


def plans(local: Local, instant: datetime) -> bool:
    """Tells whether an instant is one of local times."""
    digest = local.rules or read_rules(local.timezone).digest
    return _plans(local.rule, digest, local.first, instant)


def next_of_other_dates(base: Base, since: datetime, excluded: Sequence[date]) -> datetime | None:
    """Finds the first instant from one on, which may yet be of an excluded local date.

    Of local times, passing over such a date takes a hundredth of finding an instant.
    """
    if isinstance(base, Local):
        return local_times(base).next_at_or_after(since, passed=excluded)
    return next_of(base, since)


def count_of(base: Base, since: datetime, until: datetime) -> int:
    """Counts the instants in `[since, until)`."""
    if since >= until:
        return 0
    match base:
        case Once(at=at):
            return int(since <= at < until)
        case Every(start=start, interval=interval):
            earlier = steps_before(start, interval, since)
            return steps_before(start, interval, until) - earlier
        case Local():
            return local_times(base).count_in(since=since, until=until)
        case _:
            assert_never(base)


def steps_before(start: datetime, interval: timedelta, instant: datetime) -> int:
    """Counts the points of a grid earlier than an instant."""
    return 0 if instant <= start else -((start - instant) // interval)


@lru_cache(maxsize=4096)  # many triggers of a batch may have the same cron
def _next_local(
    rule: LocalRule, digest: str, first: datetime | None, since: datetime
) -> datetime | None:
    return _local_times(rule, digest, first).next_at_or_after(since)


@lru_cache(maxsize=4096)
def _plans(rule: LocalRule, digest: str, first: datetime | None, instant: datetime) -> bool:
    return _local_times(rule, digest, first).plans(instant)


@lru_cache(maxsize=1024)
def _local_times(rule: LocalRule, digest: str, first: datetime | None) -> LocalTimes:
    rules = zone_rules().get_known(digest)
    if rules is None:
        raise ScheduleError("The zone's rules of that time are not on record.", field="timezone")
    if not isinstance(rule, Cron):
        return LocalTimes(rules.zone, rule, rule, None, first)
    lines = [read_line(one) for one in rule.lines]
    hourly = tuple(one for one in lines if one.at_least_hourly)
    once = tuple(one for one in lines if not one.at_least_hourly)
    return LocalTimes(
        rules.zone,
        CronWalls(tuple(lines)),
        CronWalls(once) if once else None,
        CronWalls(hourly) if hourly else None,
    )


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
