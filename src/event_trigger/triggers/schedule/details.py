"""Reads a trigger's details as a schedule, or refuses them with advice."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeGuard

from event_trigger.instants import parse_instant
from event_trigger.triggers.schedule.bases import (
    END_OF_TIME,
    FIRST_INSTANT,
    Base,
    Cron,
    Every,
    Local,
    LocalRule,
    Once,
    as_utc,
    bad_year,
    local_times,
)
from event_trigger.triggers.schedule.cron import MOST_LINES, read_lines, split_zone
from event_trigger.triggers.schedule.errors import DetailName, ScheduleError
from event_trigger.triggers.schedule.excluded import Days, excluded_dates
from event_trigger.triggers.schedule.interval import (
    counts_months,
    parse_civil_interval,
    parse_duration,
    parse_interval,
)
from event_trigger.triggers.schedule.schedules import NO_SHIFT, Schedule, is_recurring
from event_trigger.triggers.schedule.walls.rrule import read_rrule
from event_trigger.triggers.schedule.walls.wall_times import CivilDays, CivilMonths, SingleWall
from event_trigger.triggers.schedule.zones import iana_name, read_rules

_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME_OF_DAY = re.compile(r"\d\d?:\d\d(:\d\d)?", re.ASCII)
_ONE_KIND = "Write one of cron, rrule, and interval or time: leave out the others."


class Resolved(NamedTuple):
    """Holds what details need from elsewhere.

    `days` are the dates of their calendars, as days since 1970-01-01, ascending; `shift_seconds`
    is the trigger's constant of its spread.
    """

    days: tuple[int, ...] = ()
    shift_seconds: int = 0

    @classmethod
    def of(cls, excluded_days: Sequence[int] | None, shift_seconds: int | None) -> "Resolved":
        """Reads the columns of a trigger or of a former schedule."""
        if excluded_days is None and shift_seconds is None:
            return NOTHING_RESOLVED
        days = excluded_days or ()
        return cls(days if isinstance(days, Days) else tuple(days), shift_seconds or 0)


NOTHING_RESOLVED = Resolved()


def schedule_from(
    details: Mapping[str, Any], *, anchor: datetime, resolved: Resolved = NOTHING_RESOLVED
) -> Schedule:
    """Reads details, as they are stored, of a trigger made at `anchor`; raises ScheduleError.

    docs/schedules.md lists the combinations of details and their meanings.
    """
    base, until = _base(details, _instant(anchor, None))
    if not is_recurring(Schedule(base)):
        _refuse_recurring_parts(details)
        return Schedule(base)
    since, last = _optional_instant(details, "from"), _optional_instant(details, "until")
    if since is not None and last is not None and since > last:
        raise ScheduleError("until is before from: write a later until.", field="until")
    ends = [one for one in (until, last) if one is not None]
    return Schedule(
        base,
        since=since,
        until=min(ends, default=None),
        excluded=excluded_dates(details, resolved.days),
        shift=NO_SHIFT if spread_of(details) is None else timedelta(seconds=resolved.shift_seconds),
    )


def _base(details: Mapping[str, Any], anchor: datetime) -> tuple[Base, datetime | None]:
    """Reads the instants without their bounds, and a UNTIL of a recurrence rule in UTC."""
    cron, rrule = details.get("cron"), details.get("rrule")
    if cron is not None:
        if any(details.get(one) is not None for one in ("time", "interval", "rrule")):
            raise ScheduleError(f"cron stands alone. {_ONE_KIND}", field="cron")
        return _cron(cron, details), None
    if rrule is not None:
        return _rrule(rrule, details)
    time, interval = details.get("time"), details.get("interval")
    if time is None and interval is None:
        raise ScheduleError("The schedule is empty: give a time, an interval, a cron or an rrule.")
    if details.get("timezone") is not None:
        return _in_zone(time, interval, details), None
    _refuse_month_end(details)
    start = None if time is None else _instant(_time_with_offset(time), "time")
    step = None if interval is None else _elapsed(interval, start)
    if details.get("recurring"):
        return _every(anchor, start, step), None
    return Once(start or anchor + (step or timedelta(0))), None


def _cron(cron: str | Sequence[str], details: Mapping[str, Any]) -> Local:
    sent = [cron] if isinstance(cron, str) else [*cron]
    if not 1 <= len(sent) <= MOST_LINES or not all(isinstance(one, str) for one in sent):
        message = f"cron must be a line, or a list of 1 to {MOST_LINES} lines."
        raise ScheduleError(message, field="cron")
    _refuse_month_end(details)
    lines, zones = zip(*map(split_zone, sent), strict=True)
    zone = _zone_of_lines(details.get("timezone"), [one for one in zones if one is not None])
    read_lines(sent)
    try:
        return _local(Cron(lines), zone)
    except ScheduleError as error:  # the zone is not known
        in_line = details.get("timezone") is None
        raise ScheduleError(error.message, field="cron" if in_line else "timezone") from None


def _zone_of_lines(timezone: str | None, of_lines: Sequence[str]) -> str:
    zones = {iana_name(one) for one in of_lines}
    if timezone is not None:
        zones.add(iana_name(timezone))
    if len(zones) > 1:
        message = "All lines of cron have one zone. Write it as timezone, and leave CRON_TZ out."
        raise ScheduleError(message, field="timezone")
    return zones.pop() if zones else "UTC"


def _rrule(rrule: str, details: Mapping[str, Any]) -> tuple[Local, datetime | None]:
    if details.get("interval") is not None:
        raise ScheduleError(f"rrule has an INTERVAL of its own. {_ONE_KIND}", field="rrule")
    if details.get("time") is None:
        raise ScheduleError("rrule needs time, which is its DTSTART.", field="rrule")
    _refuse_month_end(details)
    zone = iana_name(details.get("timezone") or "UTC")
    rule, until = read_rrule(rrule, _wall(details["time"], zone))
    return _local(rule, zone, first=_second_pass(details["time"], zone)), until


def _in_zone(
    time: str | datetime | None, interval: int | float | str | None, details: Mapping[str, Any]
) -> Base:
    """Reads a local time, once or every so many days or months."""
    zone = iana_name(details["timezone"])
    read_rules(zone)
    if time is None:
        message = (
            "timezone needs a cron, or time: a local time, such as 2030-01-31T09:00:00, from which"
            " days, weeks, months or years are counted. For minutes and hours, leave timezone out."
        )
        raise ScheduleError(message, field="timezone")
    if not details.get("recurring"):
        _refuse_month_end(details)
        if is_local_time(time):
            return _local(SingleWall(_wall(time, zone)), zone)
        return Once(_instant(_time_with_offset(time), "time"))
    start, first = _wall(time, zone), _second_pass(time, zone)
    if interval is None:
        raise _needs_interval()
    step = parse_civil_interval(interval)
    month_end = details.get("month_end")
    if not step.months:
        _refuse_month_end(details)
        return _local(CivilDays(start, step.days), zone, first=first)
    return _local(CivilMonths(start, step.months, skips=month_end == "skip"), zone, first=first)


def _local(rule: LocalRule, zone: str, *, first: datetime | None = None) -> Local:
    local = Local(rule, zone, first=first)
    local_times(local)  # raises for a zone that is not known
    return local


def _every(anchor: datetime, time: datetime | None, interval: timedelta | None) -> Every:
    if interval is None:
        raise _needs_interval()
    return Every(anchor + interval if time is None else time, interval)


def _needs_interval() -> ScheduleError:
    message = "recurring needs an interval, a cron or an rrule: add one, or set it to false."
    return ScheduleError(message, field="recurring")


def _elapsed(interval: int | float | str, start: datetime | None) -> timedelta:
    if counts_months(interval) and start is not None:
        message = (
            "An interval of months or years needs timezone, such as Europe/Berlin, in whose"
            " calendar they are counted."
        )
        raise ScheduleError(message, field="interval")
    return parse_interval(interval)


def _wall(time: str | datetime, zone: str) -> datetime:
    """Reads a local time; one with an offset is the local time of that instant."""
    if isinstance(time, str) and is_local_time(time):
        try:
            wall = datetime.fromisoformat(time.upper())
        except ValueError:
            raise ScheduleError("There is no such date or time.", field="time") from None
    else:
        instant = _instant(_time_with_offset(time), "time")
        wall = instant.astimezone(read_rules(zone).zone).replace(tzinfo=None, fold=0)
    if not FIRST_INSTANT.year <= wall.year < END_OF_TIME.year:
        raise bad_year("time")
    if wall.microsecond:
        message = "A time with a timezone has whole seconds: leave out their fraction."
        raise ScheduleError(message, field="time")
    return wall


def _second_pass(time: str | datetime, zone: str) -> datetime | None:
    """Returns an instant at which the clock shows its local time the second time; else None."""
    instant = None if is_local_time(time) else _instant(_time_with_offset(time), "time")
    return instant if instant and instant.astimezone(read_rules(zone).zone).fold else None


def _refuse_date(time: str | datetime) -> None:
    if isinstance(time, str) and (_DATE.fullmatch(time) or _TIME_OF_DAY.fullmatch(time)):
        message = (
            "time has a date and a time of day: write 2030-01-31T09:00:00Z or, with timezone, a"
            " local time such as 2030-01-31T09:00:00."
        )
        raise ScheduleError(message, field="time")


def is_local_time(time: object) -> TypeGuard[str]:
    """Tells whether a time is written without an offset."""
    return isinstance(time, str) and _LOCAL_TIME.fullmatch(time) is not None


def _time_with_offset(time: str | datetime) -> datetime:
    if is_local_time(time):
        message = (
            "time has no offset: add one, such as the Z of 2030-01-31T09:00:00Z, or add timezone,"
            " such as Europe/Berlin, to make it a local time."
        )
        raise ScheduleError(message, field="time")
    _refuse_date(time)
    return _parsed(time, "time")


def _refuse_month_end(details: Mapping[str, Any]) -> None:
    if details.get("month_end") is not None:
        message = "month_end applies to an interval of months or years, with time and timezone."
        raise ScheduleError(message, field="month_end")


_OF_RECURRING: Sequence[DetailName] = ("from", "until", "max_fires", "except", "spread")


def _refuse_recurring_parts(details: Mapping[str, Any]) -> None:
    for name in _OF_RECURRING:
        if details.get(name) is not None:
            message = (
                f"{name} applies to recurring schedules only: set recurring to true, or leave"
                f" {name} out."
            )
            raise ScheduleError(message, field=name)


def _optional_instant(details: Mapping[str, Any], name: DetailName) -> datetime | None:
    value = details.get(name)
    return None if value is None else _instant(_parsed(value, name), name)


def _parsed(value: str | datetime, field: DetailName) -> datetime:
    try:
        return value if isinstance(value, datetime) else parse_instant(value)
    except ValueError as error:
        raise ScheduleError(f"{field}: {error}.", field=field) from None


def _instant(value: datetime, field: DetailName | None) -> datetime:
    instant = as_utc(value, field=field)
    if not FIRST_INSTANT <= instant < END_OF_TIME:
        raise bad_year(field)
    return instant


def calendars_of(details: Mapping[str, Any]) -> list[str]:
    """Returns the keys of the calendars that details name, each once; also of unchecked details."""
    named = details.get("except")
    places = named if isinstance(named, list | tuple) else ()
    keys = (one.get("calendar") for one in places if isinstance(one, Mapping))
    return [*dict.fromkeys(one for one in keys if isinstance(one, str))]


def spread_of(details: Mapping[str, Any]) -> timedelta | None:
    text = details.get("spread")
    return None if text is None else parse_duration(text, "spread")
