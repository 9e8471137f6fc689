"""Writes lines with Quartz's L-3, the third day before the last, as recurrence rules."""

import re

from event_trigger.triggers.schedule.plain_lines import plain_line

BEFORE_LAST = re.compile(r"^(\S+\s+\S+\s+)L-([0-9]{1,2})(\s+\S+\s+\S+)$")
_MOST_DAYS_BEFORE = 30
_EVERY_DAY, _EVERY_MONTH = 7, 12


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
