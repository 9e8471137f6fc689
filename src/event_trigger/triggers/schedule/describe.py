"""Describes schedules in words, so that people see at once what they wrote.

cronsim can explain an expression too, and some wording here follows it: dates, hours from and to.
Its sentences are not used as they are, since they are wrong or unclear for some cron lines:
`*/40` is "every 40th minute" there, day of month or weekday is "and", day 31 is "31th".
"""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta, tzinfo
from functools import lru_cache
from typing import assert_never

from event_trigger.instants import instant_text
from event_trigger.triggers.schedule.cron import Crontab, parse_cron, read_rules
from event_trigger.triggers.schedule.schedules import Cron, Every, Once, Schedule
from event_trigger.triggers.schedule.zone_rules import zone_rules

WHEN_CALLED = "When it is called"  # of a trigger without a schedule
_MAX_TIMES_LISTED = 6  # times of day that are listed one by one
_MAX_DATES_LISTED = 4
_LEAP_YEAR = 2000
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 6: "sixth", 8: "eighth", 12: "twelfth"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
    ("microsecond", timedelta(microseconds=1)),
)


def describe(schedule: Schedule) -> str:
    """Writes a sentence, such as "At 09:00 on Monday to Friday, Europe/Berlin"."""
    match schedule:
        case Once(at=at):
            return f"Once, at {instant_text(at)}"
        case Every(start=start, interval=interval):
            sentence = f"Every {_duration(interval)}, counted from {instant_text(start)}"
        case Cron(expression=expression, timezone=timezone):
            sentence = f"{_cron_sentence(expression)}, {timezone}"
        case _:
            assert_never(schedule)
    return (
        sentence if schedule.until is None else f"{sentence}, until {instant_text(schedule.until)}"
    )


def zone_of(schedule: Schedule) -> tzinfo:
    """Returns the zone of a schedule's local times; UTC if it has none."""
    if isinstance(schedule, Cron):
        return parse_cron(schedule.expression, schedule.timezone, schedule.rules).zone
    return UTC


def rules_version(schedule: Schedule) -> str | None:
    """Returns the IANA database version of a cron's zone rules; None if unknown or not a cron."""
    if not isinstance(schedule, Cron):
        return None
    if schedule.rules is None:
        return read_rules(schedule.timezone).version
    known = zone_rules().get_known(schedule.rules)
    return None if known is None else known.version


@lru_cache(maxsize=8192)  # lists show it for each trigger
def _cron_sentence(expression: str) -> str:
    return _cron_words(parse_cron(expression, "UTC"))


def _cron_words(crontab: Crontab) -> str:
    times, days, months = _times(crontab), _days(crontab), _months(crontab)
    if date := _date(crontab):
        return f"{times} on {date}"
    if not days and times.startswith("At") and not times.endswith("hour"):
        days = "every day"
    if "or on" in days and months:
        days += ","  # the months apply to both kinds of days
    return " ".join(filter(None, (times, days, months)))


def _times(crontab: Crontab) -> str:
    minutes, hours = sorted(crontab.calendar.minutes), sorted(crontab.calendar.hours)
    if len(minutes) * len(hours) <= _MAX_TIMES_LISTED:
        return f"At {_listed([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    every = _every(minutes)
    if len(hours) == 24:
        return every or f"At {_numbered('minute', minutes)} of every hour"
    step = 24 // len(hours)
    if step in _ORDINALS and hours == [*range(0, 24, step)]:
        if minutes == [0]:
            return f"Every {step} hours"
        within = f"every {_ORDINALS[step]} hour"
        return f"{every} of {within}" if every else f"At {_numbered('minute', minutes)} of {within}"
    if every and hours == [*range(hours[0], hours[-1] + 1)]:
        return f"{every} from {hours[0]:02}:00 to {hours[-1]:02}:{minutes[-1]:02}"
    within = _numbered("hour", hours)
    return f"{every} in {within}" if every else f"At {_numbered('minute', minutes)} of {within}"


def _every(minutes: Sequence[int]) -> str | None:
    """Describes minutes that are the same distance apart, also across the hour; else None."""
    if minutes == [0]:
        return "Every hour"
    step = 60 // len(minutes)
    if list(minutes) != [*range(0, 60, step)] or 60 % step:
        return None
    return "Every minute" if step == 1 else f"Every {step} minutes"


def _date(crontab: Crontab) -> str | None:
    """Returns single days of some months as dates, such as "January 1"; else None."""
    first, *others = sorted(crontab.calendar.days)
    months = [one for one in sorted(crontab.calendar.months) if first <= _days_in(one)]
    if others or len(_weekdays(crontab)) < 7 or len(months) > _MAX_DATES_LISTED:
        return None
    return _listed([f"{_MONTHS[month - 1]} {first}" for month in months])


def _days_in(month: int) -> int:
    return monthrange(_LEAP_YEAR, month)[1]


def _days(crontab: Crontab) -> str:
    calendar, week = crontab.calendar, _weekdays(crontab)
    month = sorted(calendar.days)
    on_week = f"on {_listed(_weekday_runs(week))}" if len(week) < 7 else ""
    on_month = f"on {_numbered('day', month)} of the month" if len(month) < 31 else ""
    if not (on_week and on_month):
        return on_week or on_month
    if calendar.day_and:
        return f"{on_month}, if that is a {_listed([_DAYS[day] for day in week], 'or')}"
    return f"{on_month}, or on {_listed(_weekday_runs(week), 'or')}"


def _weekdays(crontab: Crontab) -> list[int]:
    """Lists the weekdays, Monday is 0; cron's Sunday is 0 as well as 7."""
    named = crontab.calendar.weekdays
    return [day for day in range(7) if day + 1 in named or (day + 1) % 7 in named]


def _weekday_runs(week: Sequence[int]) -> list[str]:
    """Names the weekdays as runs; a run may go on from Sunday to Monday."""
    if week[0] == 0 and week[-1] == 6 and len(week) < 7:
        last_gap = max(day for day in range(7) if day not in week)
        week = [day for day in week if day > last_gap] + [day + 7 for day in week if day < last_gap]
    return _runs(week, _DAYS * 2)


def _months(crontab: Crontab) -> str:
    months = sorted(crontab.calendar.months)
    if len(months) == 12:
        return ""
    return f"in {_listed(_runs([month - 1 for month in months], _MONTHS))}"


def _numbered(unit: str, numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    if len(numbers) > 3:
        step = numbers[1] - first
        if step > 1 and list(numbers) == [*range(first, last + 1, step)]:
            return f"{unit}s {first} to {last} in steps of {step}"
    names = [str(number) for number in range(last + 1)]
    return f"{unit}{'s' if len(numbers) > 1 else ''} {_listed(_runs(numbers, names))}"


def _runs(numbers: Sequence[int], names: Sequence[str]) -> list[str]:
    """Names the numbers, three or more in a row as "first to last"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [
        part
        for run in runs
        for part in (
            [f"{names[run[0]]} to {names[run[-1]]}"]
            if len(run) > 2
            else [names[number] for number in run]
        )
    ]


def _listed(parts: Iterable[str], word: str = "and") -> str:
    *first, last = parts
    return f"{', '.join(first)} {word} {last}" if first else last


def _duration(interval: timedelta) -> str:
    counts = []
    for name, unit in _UNITS:
        count, interval = divmod(interval, unit)
        if count:
            counts.append((count, name))
    if len(counts) == 1 and counts[0][0] == 1:
        return counts[0][1]
    return _listed([f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts])
