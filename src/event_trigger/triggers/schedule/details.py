"""Reads a trigger's details as a schedule, or refuses them with advice."""

from datetime import datetime, timedelta

from event_trigger.triggers.schedule.cron import parse_cron
from event_trigger.triggers.schedule.errors import DetailName, ScheduleError
from event_trigger.triggers.schedule.interval import parse_interval
from event_trigger.triggers.schedule.schedules import (
    END_OF_TIME,
    FIRST_INSTANT,
    Cron,
    Every,
    Once,
    Schedule,
    as_utc,
    bad_year,
)


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
    """Reads the details of a trigger that was created at `anchor`; raises ScheduleError.

    docs/schedules.md lists the combinations of details and their meanings.
    """
    created_at = _instant(anchor, None)
    end = None if until is None else _instant(until, "until")
    if cron is not None:
        if time is not None or interval is not None:
            message = "cron cannot be combined with time or interval: leave out one or the other."
            raise ScheduleError(message, field="cron")
        return _cron(cron, "UTC" if timezone is None else timezone, end)
    if timezone is not None:
        message = (
            "timezone applies to cron only: leave it out, and write time with its offset, such as"
            " 2030-01-31T09:00:00+01:00."
        )
        raise ScheduleError(message, field="timezone")
    start = None if time is None else _instant(time, "time")
    step = None if interval is None else parse_interval(interval)
    if start is None and step is None:
        raise ScheduleError("The schedule is empty: give a time, an interval or a cron.")
    if recurring:
        return _every(created_at, start, step, end)
    if end is not None:
        message = (
            "until applies to recurring schedules only: set recurring to true, or leave until out."
        )
        raise ScheduleError(message, field="until")
    return _once(created_at, start, step)


def _cron(expression: str, timezone: str, until: datetime | None) -> Cron:
    parse_cron(expression, timezone)  # raises for a line that next_fire_at_or_after cannot read
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


def _instant(value: datetime, field: DetailName | None) -> datetime:
    instant = as_utc(value, field=field)
    if not FIRST_INSTANT <= instant < END_OF_TIME:
        raise bad_year(field)
    return instant
