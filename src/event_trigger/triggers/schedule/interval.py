"""Reads an interval: minutes as a number, or an ISO 8601 duration."""

import math
import re
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache

from event_trigger.triggers.schedule.errors import ScheduleError

_SHORTEST_SECONDS = 1
_LONGEST_SECONDS = 3653 * 86_400

_DECIMAL = r"([0-9]{1,15}(?:[.,][0-9]{1,15})?)"
_DURATION = re.compile(
    rf"P(?=.)(?:{_DECIMAL}W)?(?:{_DECIMAL}D)?"
    rf"(?:T(?=.)(?:{_DECIMAL}H)?(?:{_DECIMAL}M)?(?:{_DECIMAL}S)?)?"
)
_UNIT_SECONDS = (7 * 86_400, 86_400, 3600, 60, 1)  # W, D, H, M, S
_YEARS_OR_MONTHS = re.compile(r"P[0-9.,WD]*[0-9][YM]")


@lru_cache(maxsize=1024, typed=True)
def parse_interval(value: int | float | str) -> timedelta:
    """Reads minutes, or a duration of weeks, days and time, to the nearest microsecond.

    Raises ScheduleError unless it is 1 second to 3653 days, which is ten years.
    """
    seconds = _duration_seconds(value) if isinstance(value, str) else _minutes(value) * 60
    microseconds = round(seconds * 1_000_000)  # perhaps too many for a timedelta
    if not _SHORTEST_SECONDS * 1_000_000 <= microseconds <= _LONGEST_SECONDS * 1_000_000:
        message = "interval must be at least 1 second and at most 10 years (3653 days)."
        raise ScheduleError(message, field="interval")
    return timedelta(microseconds=microseconds)


def _minutes(value: int | float) -> Fraction:
    if isinstance(value, bool) or not (isinstance(value, int) or math.isfinite(value)):
        raise ScheduleError("interval must be a finite number of minutes.", field="interval")
    return Fraction(value)


def _duration_seconds(text: str) -> Fraction:
    parts = _DURATION.fullmatch(text)
    if parts is None:
        message = "interval must be minutes as a number, or an ISO 8601 duration such as PT90S."
        if _YEARS_OR_MONTHS.match(text):
            message = "interval cannot count years or months: use weeks or days, or a cron."
        raise ScheduleError(message, field="interval")
    numbers = (Fraction((number or "0").replace(",", ".")) for number in parts.groups())
    return sum(
        (number * unit for number, unit in zip(numbers, _UNIT_SECONDS, strict=True)), Fraction(0)
    )
