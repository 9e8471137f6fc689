"""Describes schedules in words, and warns of those that may mean another thing than intended."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, assert_never

from event_trigger.instants import instant_text
from event_trigger.triggers.schedule.bases import (
    Base,
    Cron,
    Every,
    Local,
    LocalRule,
    Once,
    local_times,
)
from event_trigger.triggers.schedule.cron import ALIASES
from event_trigger.triggers.schedule.details import calendars_of, is_local_time
from event_trigger.triggers.schedule.excluded import excluded_dates
from event_trigger.triggers.schedule.local_times import LocalTimes
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import NO_SHIFT, Schedule, is_recurring
from event_trigger.triggers.schedule.walls.cron_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELDS,
    HOUR,
    MINUTE,
    MONTH,
    Field,
)
from event_trigger.triggers.schedule.walls.recurrence import Recurrence
from event_trigger.triggers.schedule.walls.wall_times import CivilDays, CivilMonths, SingleWall
from event_trigger.triggers.schedule.words.cron import cron_words
from event_trigger.triggers.schedule.words.language import (
    MONTHS,
    calendars_named,
    clock_time,
    counted,
    duration,
    length,
    listed,
)
from event_trigger.triggers.schedule.words.recurrence import recurrence_words
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.triggers.schedule.zones import read_rules

WHEN_CALLED = "When it is called"  # of a trigger without a schedule
_MOST_DATES = 3
_LEAP_MONTHS = 48  # from a leap year to the next one
_NO_LEAP_YEAR = 2001
_STEP = re.compile(r"(?:[*?]|([0-9]+)(?:-([0-9]+))?)/([0-9]+)")
_NUMBERED_DAY = re.compile(r"[0-7]")
_UNITS = {
    MINUTE.name: ("minute", "hour", "PT{}M"),
    HOUR.name: ("hour", "day", "PT{}H"),
    DAY_OF_MONTH.name: ("day", "month", "P{}D"),
    MONTH.name: ("month", "year", "P{}M with time and timezone"),
    DAY_OF_WEEK.name: ("day", "week", "P{}D"),
}
_SECOND = timedelta(seconds=1)
_MOST_NAMED = 6  # more of them are named by the first, the last and their number


def describe_plan(plan: Plan, details: Mapping[str, Any]) -> str:
    """Describes the plan of details; dates of calendars are named by the keys of these."""
    excepted = details.get("except") or ()
    return describe(plan.schedule, max_fires=plan.max_fires, excepted=excepted)


def describe(
    schedule: Schedule, *, max_fires: int | None = None, excepted: Sequence[Any] = ()
) -> str:
    """Writes a sentence, such as "At 09:00 on Monday to Friday, Europe/Berlin".

    `excepted` is `details.except`; without calendars in it, the sentence goes by the schedule's
    dates.
    """
    sentence = _of_base(schedule.base)
    if not is_recurring(schedule):
        return sentence
    parts = [sentence]
    if schedule.since is not None:
        parts.append(f"from {instant_text(schedule.since)}")
    if schedule.until is not None:
        parts.append(f"until {instant_text(schedule.until)}")
    if max_fires is not None:
        parts.append("only once" if max_fires == 1 else f"{max_fires} times at most")
    parts += _exceptions(schedule, excepted)
    if schedule.shift != NO_SHIFT:
        parts.append(f"each {length(schedule.shift)} later")
    return ", ".join(parts)


def rules_version(schedule: Schedule) -> str | None:
    """Returns the IANA database version of a zone's rules; None if unknown, or without a zone."""
    base = schedule.base
    if not isinstance(base, Local):
        return None
    if base.rules is None:
        return read_rules(base.timezone).version
    known = zone_rules().get_known(base.rules)
    return None if known is None else known.version


def _of_base(base: Base) -> str:
    match base:
        case Once(at=at):
            return f"Once, at {instant_text(at)}"
        case Every(start=start, interval=interval):
            return f"Every {duration(interval)}, counted from {instant_text(start)}"
        case Local(rule=rule, timezone=timezone):
            return f"{_of_rule(rule)}, {timezone}"
        case _:
            assert_never(base)


def _of_rule(rule: LocalRule) -> str:
    match rule:
        case Cron(lines=lines):
            return cron_words(lines)
        case SingleWall(at=at):
            return f"Once, at {at:%Y-%m-%d} {clock_time(at)}"
        case CivilDays(start=start, days=days):
            weeks, rest = divmod(days, 7)
            every = counted(days, "day") if rest else f"{counted(weeks, 'week')} on {start:%A}"
            return f"Every {every} at {clock_time(start)}, starting {start:%Y-%m-%d}"
        case CivilMonths(start=start, months=months, skips=skips):
            return _of_months(start, months, skips=skips)
        case Recurrence():
            return recurrence_words(rule)
        case _:
            assert_never(rule)


def _of_months(start: datetime, months: int, *, skips: bool) -> str:
    years, rest = divmod(months, 12)
    if rest:
        every = f"{counted(months, 'month')} on day {start.day}"
    else:
        every = f"{counted(years, 'year')} on {MONTHS[start.month - 1]} {start.day}"
    end = _of_short_months(start, months, skips=skips)
    return f"Every {every}{end} at {clock_time(start)}, starting {start:%Y-%m-%d}"


def _of_short_months(start: datetime, months: int, *, skips: bool) -> str:
    """Says what a day means for those of the months that do not have it; else nothing."""
    named = {(start.month - 1 + number * months) % 12 + 1 for number in range(12)}
    if all(start.day <= monthrange(_NO_LEAP_YEAR, one)[1] for one in named):
        return ""
    if months % _LEAP_MONTHS == 0 and start.year % 4 == 0:
        return ""  # but for 2100, all are leap years
    if months % 12 == 0:
        return ", in leap years only," if skips else ", in other years February 28,"
    return ", in months that have it," if skips else ", or the last day of a shorter month,"


def _exceptions(schedule: Schedule, excepted: Sequence[Any]) -> Iterator[str]:
    """Says on which dates the schedule does not fire; lists those of no calendar."""
    calendars = calendars_of({"except": excepted})
    dates = schedule.excluded
    if calendars:
        named = [one for one in excepted if isinstance(one, str)]
        dates = excluded_dates({"except": named}, ())
    if dates:
        yield f"but not on {_dates(dates)}"
    if calendars:
        yield f"{'nor' if dates else 'but not'} on the dates of {calendars_named(calendars)}"


def _dates(dates: Sequence[date]) -> str:
    shown = [one.isoformat() for one in dates[:_MOST_DATES]]
    more = len(dates) - len(shown)
    if more:
        shown.append(f"{more} more {'date' if more == 1 else 'dates'}")
    return listed(shown)


def cautions_of(schedule: Schedule) -> list[str]:
    """Lists sentences about the cron lines of a schedule, each once; none for other schedules."""
    base = schedule.base
    if not isinstance(base, Local) or not isinstance(base.rule, Cron):
        return []
    found = (one for line in base.rule.lines for one in _cautions_of_line(line.upper()))
    return [*dict.fromkeys(found)]


def cautions_on(details: Mapping[str, Any]) -> list[str]:
    """Lists sentences about what details leave out."""
    in_utc = details.get("rrule") is not None and details.get("timezone") is None
    if not (in_utc and is_local_time(details.get("time"))):
        return []
    return ["The local time is in UTC: add timezone, such as Europe/Berlin, if you mean another."]


def _cautions_of_line(line: str) -> Iterator[str]:
    fields = ALIASES.get(line.strip(), line).split()
    for field, text in zip(FIELDS, fields, strict=True):
        step = _step_of(field, text) if field.name in _UNITS else 1
        # months have unequal lengths, so that no step of days divides them all
        if step > 1 and (field.around % step or field is DAY_OF_MONTH):
            yield _uneven(text, field.name, step)
    if _looks_like_quartz(fields):
        yield (
            "The days of the week are cron's here: 1 is Monday, and 0 and 7 are Sunday. In Quartz,"
            " 1 is Sunday and 7 is Saturday. If this is from Quartz, write names, such as MON-FRI"
            " or FRIL, which mean the same in both."
        )


def _step_of(field: Field, text: str) -> int:
    """Returns the step of a text that goes through all of its field; else 1."""
    found = _STEP.fullmatch(text)
    if found is None or int(found[1] or field.first) != field.first:
        return 1
    highest = field.first + field.around - 1
    return int(found[3]) if int(found[2] or highest) >= highest else 1


def _uneven(text: str, field: str, step: int) -> str:
    unit, whole, interval = _UNITS[field]
    return (
        f"{text} in the {field} field begins again with each {whole}, where its last step is"
        f" shorter. For every {step} {unit}s, write an interval of {interval.format(step)}."
    )


def _looks_like_quartz(fields: list[str]) -> bool:
    """Tells whether a line numbers its weekdays, and has signs that cron(8) does not know."""
    day, weekday = fields[2], fields[4]
    if "?" in weekday or not _NUMBERED_DAY.search(weekday.partition("#")[0].partition("/")[0]):
        return False
    return any(one in day for one in "?LW") or "#" in weekday or "L" in weekday


def daylight_note(schedule: Schedule, instant: datetime) -> str | None:
    """Returns a sentence if local times of an instant are missing or come twice; else None."""
    if not isinstance(schedule.base, Local):
        return None
    note = _note(local_times(schedule.base), instant - schedule.shift)
    if note is None or schedule.shift == NO_SHIFT:
        return note
    return f"{note} The spread makes that {length(schedule.shift)} later."


def _note(times: LocalTimes, at: datetime) -> str | None:
    if missing := times.missing_walls(at):
        return _note_on_gap(times, at, missing)
    local = at.astimezone(times.zone)
    wall = local.replace(tzinfo=None, fold=0)
    earlier, later = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    if earlier == later:
        return None
    when = f"{wall:%H:%M} comes twice on {wall:%Y-%m-%d}, when the clocks go back"
    if at == times.first:
        return f"{when}; the schedule begins the second time."
    each = times.hourly is not None and times.hourly.names(wall)
    return f"{when}; it fires {'each time' if each else 'the first time only'}."


def _note_on_gap(times: LocalTimes, at: datetime, missing: Sequence[datetime]) -> str:
    """Names the local times that the clocks skipped, and that one instant stands for."""
    gap, wall = times.wall(at - _SECOND) + _SECOND, times.wall(at)
    several = len(missing) > 1
    named = listed(f"{one:%H:%M}" for one in missing)
    if len(missing) > _MOST_NAMED:
        count, first, last = len(missing), missing[0], missing[-1]
        named = f"The {count} local times of the schedule from {first:%H:%M} to {last:%H:%M}"
    fires = "they fire once, together" if several else "it fires instead"
    if times.all.names(wall):
        fires = f"{'they fire' if several else 'it fires'} once, together with {wall:%H:%M}"
    return (
        f"{named} {'do' if several else 'does'} not exist on {missing[0]:%Y-%m-%d}: the clocks go"
        f" forward from {gap:%H:%M} to {wall:%H:%M}, when {fires}."
    )
