"""Describes cron lines.

Where a step does not divide its field, the numbers are said: `*/40` is at minutes 0 and 40.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from event_trigger.triggers.schedule.cron import read_line
from event_trigger.triggers.schedule.walls.cron import CronLine, MonthDays, WeekDays
from event_trigger.triggers.schedule.words.language import (
    DAYS,
    MONTHS,
    SHORTEST_MONTH,
    listed,
    lowered,
    month_runs,
    numbered,
    ordinal,
    runs,
    weekday_runs,
)

_MAX_TIMES_LISTED = 6  # times of day that are listed one by one
_MAX_DATES_LISTED = 4
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 6: "sixth", 8: "eighth", 12: "twelfth"}


@lru_cache(maxsize=8192)  # lists show it for each trigger
def cron_words(expressions: tuple[str, ...]) -> str:
    """Writes a sentence about some lines, such as "At 09:00 on Monday to Friday"."""
    lines = dict.fromkeys(read_line(one) for one in expressions)
    first, *others = [_words(one) for one in _together(lines)]
    return "; ".join([first, *(f"and {lowered(one)}" for one in others)])


def _together(lines: Iterable[CronLine]) -> Iterator[Sequence[CronLine]]:
    """Groups lines of the same days if few times of day are all that they name."""
    groups: dict[CronLine, list[CronLine]] = {}
    for line in lines:
        days = replace(line, minutes=frozenset(), hours=frozenset())
        groups.setdefault(days, []).append(line)
    for group in groups.values():
        if len(_times_of_day(group)) <= _MAX_TIMES_LISTED:
            yield group
        else:
            yield from ([one] for one in group)


def _words(lines: Sequence[CronLine]) -> str:
    line = lines[0]
    times = _times(lines)
    if date := _date(line):
        return f"{times} on {date}"
    days = _days(line)
    if not days and times.startswith("At") and not times.endswith("hour"):
        days = "every day"
    sentence = " ".join(filter(None, (times, days)))
    if len(line.months) == 12:
        return sentence
    return f"In {month_runs(line.months)}, {lowered(sentence)}"


def _times(lines: Sequence[CronLine]) -> str:
    of_day = _times_of_day(lines)
    if len(of_day) <= _MAX_TIMES_LISTED:
        return f"At {listed([f'{hour:02}:{minute:02}' for hour, minute in of_day])}"
    [line] = lines
    minutes, hours = sorted(line.minutes), sorted(line.hours)
    every = _every(minutes)
    if len(hours) == 24:
        return every or f"At {_minutes(minutes)} of every hour"
    is_daily = _days(line) == "" or _days(line) == "every day"
    return (
        _steps_of_hours(minutes, hours, every)
        or _runs_of_hours(minutes, hours, every, is_daily=is_daily)
        or f"{every or f'At {_minutes(minutes)}'} {'in' if every else 'of'} {_hours(hours)}"
    )


def _times_of_day(lines: Iterable[CronLine]) -> Sequence[tuple[int, int]]:
    return sorted({(hour, minute) for one in lines for hour in one.hours for minute in one.minutes})


def _minutes(minutes: Sequence[int]) -> str:
    return numbered("minute", minutes, listed_most=_MAX_TIMES_LISTED)


def _hours(hours: Sequence[int]) -> str:
    return numbered("hour", hours)


def _steps_of_hours(minutes: Sequence[int], hours: Sequence[int], every: str | None) -> str | None:
    """Describes hours that are the same distance apart, of two hours or more."""
    step = hours[1] - hours[0] if len(hours) > 1 else 0
    if step < 2 or hours != [*range(hours[0], hours[-1] + 1, step)]:
        return None
    is_whole_day = hours[0] == 0 and hours[-1] + step == 24
    span = f"from {hours[0]:02}:{minutes[0]:02} to {hours[-1]:02}:{minutes[-1]:02}"
    if len(minutes) == 1 and len(hours) > 2:
        return (
            f"Every {step} hours"
            if is_whole_day and minutes == [0]
            else (f"Every {step} hours {span}")
        )
    if step not in _ORDINALS or len(hours) < 3:
        return None
    within = f"every {_ORDINALS[step]} hour"
    times = f"{every} of {within}" if every else f"At {_minutes(minutes)} of {within}"
    return times if is_whole_day else f"{times} {span}"


def _runs_of_hours(
    minutes: Sequence[int], hours: Sequence[int], every: str | None, *, is_daily: bool
) -> str | None:
    """Describes hours in a row, or two rows that meet at midnight."""
    times = every or f"At {_minutes(minutes)} of every hour"

    def span(first: int, last: int) -> str:
        return f"from {first:02}:{minutes[0]:02} to {last:02}:{minutes[-1]:02}"

    if hours == [*range(hours[0], hours[-1] + 1)]:
        return f"{times} {span(hours[0], hours[-1])}"
    first = _start_across_midnight(hours)
    if first is None:
        return None
    last = hours[hours.index(first) - 1]
    if is_daily:
        return f"{times} {span(first, last)}, across midnight"
    return f"{times} {span(0, last)} and {span(first, 23)}"


def _start_across_midnight(hours: Sequence[int]) -> int | None:
    """Returns the first hour of hours in a row that begin in the evening; else None."""
    gaps = [after for before, after in pairwise(hours) if after > before + 1]
    return gaps[0] if hours[0] == 0 and hours[-1] == 23 and len(gaps) == 1 else None


def _every(minutes: Sequence[int]) -> str | None:
    """Describes minutes that are the same distance apart, also across the hour; else None."""
    if minutes == [0]:
        return "Every hour"
    step = 60 // len(minutes)
    if list(minutes) != [*range(0, 60, step)] or 60 % step:
        return None
    return "Every minute" if step == 1 else f"Every {step} minutes"


def _date(line: CronLine) -> str | None:
    """Returns single days of some months as dates, such as "January 1"; else None."""
    days = line.month_days
    if days.nearest or days.last or days.last_weekday or not _is_any(line.week_days):
        return None
    first, *others = sorted(days.numbers)
    months = [one for one in sorted(line.months) if first <= _LONGEST_MONTHS[one - 1]]
    if others or len(months) > _MAX_DATES_LISTED:
        return None
    dates = listed([f"{MONTHS[month - 1]} {first}" for month in months])
    return f"{dates}, in leap years" if dates == "February 29" else dates


def _days(line: CronLine) -> str:
    """Describes the days; nothing if they are all days."""
    is_any_month_day = len(line.month_days.numbers) == 31
    is_any_week_day = _is_any(line.week_days)
    if not line.needs_both and (is_any_month_day or is_any_week_day):
        return "every day"  # one field names each day, and either is enough
    in_month = "" if is_any_month_day else f"on {_month_days(line.month_days)}"
    in_week = "" if is_any_week_day else f"on {listed(_week_days(line.week_days))}"
    if not (in_month and in_week):
        return in_month or in_week
    if line.needs_both:
        return f"{in_month}, if that is {_a(listed(_week_days(line.week_days), 'or'))}"
    return f"{in_month}, or on {listed(_week_days(line.week_days), 'or')}"


def _a(days: str) -> str:
    return days if days.startswith("the ") else f"a {days}"


def _is_any(days: WeekDays) -> bool:
    return len(days.numbers) == 7


def _month_days(days: MonthDays) -> str:
    parts = []
    if days.numbers:
        parts.append(f"{numbered('day', sorted(days.numbers))} of the month")
    if days.nearest:
        nearest = listed(runs(sorted(days.nearest), [str(one) for one in range(32)]))
        parts.append(f"the weekday nearest to day {nearest} of the month")
    if days.last:
        parts.append("the last day of the month")
    if days.last_weekday:
        parts.append("the last weekday of the month")
    words = listed(parts)
    is_short = not (days.last or days.last_weekday)
    named = days.numbers | days.nearest
    if is_short and max(named) > SHORTEST_MONTH <= min(named):
        have = "them" if len(named) > 1 else "it"
        words = f"{words}, in months that have {have}"
    return words


def _week_days(days: WeekDays) -> list[str]:
    parts = weekday_runs([one - 1 for one in sorted(days.numbers)]) if days.numbers else []
    for weekday, place in sorted(days.nth, key=lambda one: (one[1] or 9, one[0])):
        name = ordinal(place) if place else "last"
        parts.append(f"the {name} {DAYS[weekday - 1]} of the month")
    return parts
