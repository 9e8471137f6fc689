"""Writes lines with Jenkins' H, which stands for a constant of the job, as a line and a spread."""

import re
from collections.abc import Sequence
from itertools import pairwise

from event_trigger.triggers.schedule.plain_lines import plain_line
from event_trigger.triggers.schedule.walls.cron_line import CronLine

_HASHED = re.compile(r"H(?:\(([0-9]{1,2})-([0-9]{1,2})\))?(?:/([0-9]{1,2}))?")
_HOUR = 60  # minutes
_SHORTEST_DAY = 23 * _HOUR  # when the clocks go forward
_CONSTANT = "it moves each trigger by a constant of its own."


def advice_on_hash(line: str) -> str:
    fields = line.split()
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
