"""Warns of schedules that may mean another thing than their author thinks, and of clock changes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from event_trigger.triggers.schedule.bases import Cron, Local, local_times
from event_trigger.triggers.schedule.cron import ALIASES
from event_trigger.triggers.schedule.details import is_local_time
from event_trigger.triggers.schedule.local_times import LocalTimes
from event_trigger.triggers.schedule.schedules import NO_SHIFT, Schedule
from event_trigger.triggers.schedule.walls.cron_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELDS,
    HOUR,
    MINUTE,
    MONTH,
    Field,
)
from event_trigger.triggers.schedule.words.language import length, listed

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


def cautions_of(schedule: Schedule) -> list[str]:
    """Lists sentences about the cron lines of a schedule, each once; none for other schedules."""
    base = schedule.base
    if not isinstance(base, Local) or not isinstance(base.rule, Cron):
        return []
    found = (one for line in base.rule.lines for one in _of_line(line.upper()))
    return [*dict.fromkeys(found)]


def cautions_on(details: Mapping[str, Any]) -> list[str]:
    """Lists sentences about what details leave out."""
    in_utc = details.get("rrule") is not None and details.get("timezone") is None
    if not (in_utc and is_local_time(details.get("time"))):
        return []
    return ["The local time is in UTC: add timezone, such as Europe/Berlin, if you mean another."]


def _of_line(line: str) -> Iterator[str]:
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
