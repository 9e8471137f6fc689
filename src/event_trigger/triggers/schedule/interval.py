"""How long an interval is: minutes as a number, or a duration as ISO 8601 writes it."""

import math
import re
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache

from event_trigger.triggers.schedule.errors import ScheduleError

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_LONGEST_INTERVAL = timedelta(days=3653)

_NUMBER = r"([0-9]{1,15}(?:[.,][0-9]{1,15})?)"
_DURATION = re.compile(
    rf"P(?=.)(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
)
_YEARS_OR_MONTHS = re.compile(r"P[0-9.,WD]*[0-9][YM]")
_PARTS = (
    timedelta(weeks=1),
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)


@lru_cache(maxsize=1024, typed=True)
def parse_interval(value: int | float | str) -> timedelta:
    """Minutes, or an ISO 8601 duration in weeks, days and time, to the nearest microsecond.

    It is at least 1 second and at most 3653 days, which is ten years; otherwise ScheduleError.
    """
    microseconds = _duration(value) if isinstance(value, str) else _minutes(value)
    if not _SECOND // _MICROSECOND <= microseconds <= _LONGEST_INTERVAL // _MICROSECOND:
        message = "interval must be at least 1 second and at most 10 years (3653 days)."
        raise ScheduleError(message, field="interval")
    return timedelta(microseconds=microseconds)


def _minutes(value: int | float) -> int:
    if isinstance(value, bool) or not (isinstance(value, int) or math.isfinite(value)):
        raise ScheduleError("interval must be a finite number of minutes.", field="interval")
    return round(Fraction(value) * 60_000_000)


def _duration(text: str) -> int:
    parts = _DURATION.fullmatch(text)
    if parts is None:
        message = "interval must be minutes as a number, or an ISO 8601 duration such as PT90S."
        if _YEARS_OR_MONTHS.match(text):
            message = "interval cannot count years or months: use weeks or days, or a cron."
        raise ScheduleError(message, field="interval")
    numbers = (Fraction((number or "0").replace(",", ".")) for number in parts.groups())
    return round(sum(n * (part // _MICROSECOND) for n, part in zip(numbers, _PARTS, strict=True)))
