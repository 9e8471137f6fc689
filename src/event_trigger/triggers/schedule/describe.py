"""Describes schedules in words: what they plan, and their bounds."""

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, assert_never

from event_trigger.instants import instant_text
from event_trigger.triggers.schedule.bases import Base, Cron, Every, Local, LocalRule, Once
from event_trigger.triggers.schedule.details import calendars_of
from event_trigger.triggers.schedule.excluded import excluded_dates
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import NO_SHIFT, Schedule, is_recurring
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
