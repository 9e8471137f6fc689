"""Writes cron lines of Quartz and Jenkins as lines, rules and spreads that mean the same here."""

import re
from collections.abc import Sequence
from itertools import pairwise

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.walls.cron import CronLine
from event_trigger.triggers.schedule.walls.cron_fields import FIELDS, read_fields

_FIELD = re.compile(r"[0-9A-Z*?,/#-]{1,64}")
_HASHED = re.compile(r"H(?:\(([0-9]{1,2})-([0-9]{1,2})\))?(?:/([0-9]{1,2}))?")
_HOUR = 60  # minutes
_SHORTEST_DAY = 23 * _HOUR  # when the clocks go forward
_CONSTANT = "it moves each trigger by a constant of its own."
BEFORE_LAST = re.compile(r"^(\S+\s+\S+\s+)L-([0-9]{1,2})(\s+\S+\s+\S+)$")
_MOST_DAYS_BEFORE = 30
_EVERY_DAY, _EVERY_MONTH = 7, 12


def plain_line(line: str) -> CronLine | None:
    """Reads a line of plain fields; None if it is wrong, so that it must not be advised."""
    fields = line.split()
    if len(fields) != len(FIELDS) or not all(map(_FIELD.fullmatch, fields)):
        return None
    try:
        return read_fields(fields)
    except ScheduleError:
        return None


def is_plain(line: str) -> bool:
    return plain_line(line) is not None


def advice_on_hash(found: re.Match[str]) -> str:
    fields = found.string.split()
    text = " ".join(_without_hash(fields))
    plain = plain_line(text)
    if plain is None:
        return f"cron has no H. Write a number, and add spread, such as PT30M: {_CONSTANT}"
    spread = _spread(fields, plain)
    return f'cron has no H. Write "{text}", and add "spread": "{spread}": {_CONSTANT}'


def _without_hash(fields: Sequence[str]) -> list[str]:
    """Puts the first number, or all numbers with a step, in place of each H."""
    plain = []
    for place, field in enumerate(fields):
        found = _HASHED.fullmatch(field)
        if found is None:
            plain.append(field)
        elif found[3]:
            plain.append(f"{found[1]}-{found[2]}/{found[3]}" if found[1] else f"*/{found[3]}")
        else:
            first = "1" if place in {2, 3} else "0"
            plain.append(found[1] or first)
    return plain


def _spread(fields: Sequence[str], plain: CronLine) -> str:
    """Returns how far H reaches, and not beyond the next instant."""
    minutes = min(_reach(*fields), _shortest_distance(plain))
    hours, rest = divmod(minutes, _HOUR)
    return f"PT{minutes}M" if rest or hours == 1 else f"PT{hours}H"


def _reach(minute: str, hour: str, *days: str) -> int:
    if any(one.startswith("H") for one in days):
        return _SHORTEST_DAY
    if (found := _HASHED.fullmatch(hour)) and not found[3]:
        return _HOUR * (_numbers(found) or 24)
    found = _HASHED.fullmatch(minute)
    return (found and _numbers(found)) or _HOUR


def _numbers(found: re.Match[str]) -> int:
    """Counts the numbers among which H is one, 0 for all of its field."""
    if found[3]:
        return int(found[3])
    return int(found[2]) - int(found[1]) + 1 if found[1] else 0


def _shortest_distance(line: CronLine) -> int:
    """Returns the minutes between the two nearest times of day."""
    times = sorted(_HOUR * hour + minute for hour in line.hours for minute in line.minutes)
    if len(times) == 1:
        return _SHORTEST_DAY
    return min(after - one for one, after in pairwise([*times, times[0] + 24 * _HOUR]))


def advice_on_before_last(found: re.Match[str]) -> str | None:
    """Names the rule of the same instants; None if no month has the day, or no rule has them."""
    days, line = int(found[2]), plain_line(f"{found[1]}L{found[3]}")
    if line is None or days > _MOST_DAYS_BEFORE or len(line.week_days.numbers) < _EVERY_DAY:
        return None
    rule = f"FREQ=MONTHLY;BYMONTHDAY=-{days + 1}"
    if len(line.months) < _EVERY_MONTH:
        rule += f";BYMONTH={_listed(line.months)}"
    rule += f";BYHOUR={_listed(line.hours)};BYMINUTE={_listed(line.minutes)}"
    return (
        f'cron has no L-{found[2]}. Leave out cron, and write "rrule": "{rule}", with time, from'
        " which on it fires, and timezone."
    )


def _listed(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
