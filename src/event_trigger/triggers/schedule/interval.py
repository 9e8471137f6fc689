"""Reads intervals: minutes as a number, or an ISO 8601 duration; writes others as one."""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from event_trigger.triggers.schedule.errors import DetailName, ScheduleError

_SHORTEST_SECONDS = 1
_LONGEST_SECONDS = 3653 * 86_400
_LONGEST_MONTHS = 120
_MOST: Mapping[DetailName, str] = {"spread": "a day", "grace": "30 days"}  # checked elsewhere
_DECIMAL = r"([0-9]{1,15}(?:[.,][0-9]{1,15})?)"
_DURATION = re.compile(
    rf"P(?=.)(?:{_DECIMAL}W)?(?:{_DECIMAL}D)?"
    rf"(?:T(?=.)(?:{_DECIMAL}H)?(?:{_DECIMAL}M)?(?:{_DECIMAL}S)?)?"
)
_UNIT_SECONDS = (7 * 86_400, 86_400, 3600, 60, 1)  # W, D, H, M, S
_NUMBER = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,6})?")
_MOST_SPELT = 40  # characters
_YEARS_OR_MONTHS = re.compile(r"P[0-9.,WD]*[0-9][YM]")
_CIVIL_MONTHS = re.compile(r"P(?=.)(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?")
_CIVIL_DAYS = re.compile(r"P(?=.)(?:([0-9]{1,4})W)?(?:([0-9]{1,4})D)?")
_SPELT_UNITS = {
    **dict.fromkeys(("W", "WEEK", "WEEKS"), "W"),
    **dict.fromkeys(("D", "DAY", "DAYS"), "D"),
    **dict.fromkeys(("H", "HR", "HRS", "HOUR", "HOURS"), "H"),
    **dict.fromkeys(("M", "MIN", "MINS", "MINUTE", "MINUTES"), "M"),
    **dict.fromkeys(("S", "SEC", "SECS", "SECOND", "SECONDS"), "S"),
}
_SPELT_PART = re.compile(
    r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)?\s*([A-Z]{1,7})\b|\s*([0-9]{1,6})([WDHMS])"
)
_SPELT_CLOCK = re.compile(r"([0-9]{1,3}):([0-5][0-9])(?::([0-5][0-9]))?")


class CivilInterval(NamedTuple):
    """Whole months, or whole days, of which one is 0."""

    months: int
    days: int


@lru_cache(maxsize=1024, typed=True)
def parse_interval(value: int | float | str) -> timedelta:
    """Reads minutes, or a duration of weeks, days and time, to the nearest microsecond.

    Raises ScheduleError unless it is 1 second to 3653 days, which is ten years.
    """
    return _parse(value, "interval")


@lru_cache(maxsize=1024)
def parse_civil_interval(value: int | float | str) -> CivilInterval:
    """Reads whole days, weeks, months or years of a calendar; raises ScheduleError."""
    if isinstance(value, str):
        if found := _CIVIL_MONTHS.fullmatch(value):
            months = int(found[1] or 0) * 12 + int(found[2] or 0)
            return _within(CivilInterval(months, 0), 1 <= months <= _LONGEST_MONTHS)
        if found := _CIVIL_DAYS.fullmatch(value):
            days = int(found[1] or 0) * 7 + int(found[2] or 0)
            return _within(CivilInterval(0, days), 1 <= days <= _LONGEST_SECONDS // 86_400)
    message = (
        "An interval with a timezone counts either days and weeks, or months and years, such as"
        " P1D, P2W, P1M or P1Y. Minutes and hours are elapsed time: leave timezone out for them."
    )
    raise ScheduleError(message, field="interval")


def parse_duration(text: str, field: DetailName) -> timedelta:
    """Reads an ISO 8601 duration of weeks, days and time; raises ScheduleError."""
    if not isinstance(text, str):
        raise ScheduleError(f"{field} must be a duration, such as PT5M.", field=field)
    return _parse(text, field)


def counts_months(value: object) -> bool:
    return isinstance(value, str) and bool(_YEARS_OR_MONTHS.match(value))


def _within(interval: CivilInterval, is_within: bool) -> CivilInterval:
    if not is_within:
        message = "interval must be at least a day and at most 10 years."
        raise ScheduleError(message, field="interval")
    return interval


def _parse(value: int | float | str, field: DetailName) -> timedelta:
    seconds = _seconds_of(value, field) if isinstance(value, str) else _minutes(value) * 60
    microseconds = round(seconds * 1_000_000)  # perhaps too many for a timedelta
    if not _SHORTEST_SECONDS * 1_000_000 <= microseconds <= _LONGEST_SECONDS * 1_000_000:
        most = _MOST.get(field, "10 years (3653 days)")
        message = f"{field} must be at least 1 second and at most {most}."
        raise ScheduleError(message, field=field)
    return timedelta(microseconds=microseconds)


def _minutes(value: int | float) -> Fraction:
    if isinstance(value, bool) or not (isinstance(value, int) or math.isfinite(value)):
        raise ScheduleError("interval must be a finite number of minutes.", field="interval")
    return Fraction(value)


def _meant(text: str, field: DetailName) -> str | None:
    """Returns what to write for a duration that is spelt otherwise; None if it would be refused."""
    if len(text) > _MOST_SPELT:
        return None
    spelt = text.strip().upper()
    if field == "interval" and _NUMBER.fullmatch(spelt):
        return _right(float(spelt), f"{spelt} without quotes, for minutes")
    if field == "interval" and spelt != text and counts_months(spelt):
        return f"{spelt}, with time and timezone" if _CIVIL_MONTHS.fullmatch(spelt) else None
    such = spelt if _DURATION.fullmatch(spelt) else iso_duration(text)
    return None if such is None else _right(such, such)


def _right(value: float | str, written: str) -> str | None:
    try:
        parse_interval(value)
    except ScheduleError:
        return None
    return written


def _seconds_of(text: str, field: DetailName) -> Fraction:
    parts = _DURATION.fullmatch(text)
    if parts is None:
        minutes = "minutes as a number, or " if field == "interval" else ""
        such = _meant(text, field)
        instead = f"PT90S: write {such}" if such else "PT90S"
        message = f"{field} must be {minutes}an ISO 8601 duration such as {instead}."
        if _YEARS_OR_MONTHS.match(text):
            message = f"{field} cannot count years or months."
            if field == "interval":
                message = (
                    "An interval of months or years needs time and timezone, which say when it"
                    " begins and in which calendar."
                )
        raise ScheduleError(message, field=field)
    numbers = (Fraction((number or "0").replace(",", ".")) for number in parts.groups())
    return sum(
        (number * unit for number, unit in zip(numbers, _UNIT_SECONDS, strict=True)), Fraction(0)
    )


def iso_duration(text: str) -> str | None:
    """Writes "1h30m", "every 5 minutes" or "00:05:00" as ISO 8601; None if it is none of them."""
    text = text[:_MOST_SPELT].upper().strip().removeprefix("EVERY").strip()
    if clock := _SPELT_CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(one or 0) for one in clock.groups())
        return _joined({"H": str(hours), "M": str(minutes), "S": str(seconds)})
    counts: dict[str, str] = {}
    position = 0
    while position < len(text):
        part = _SPELT_PART.match(text, position)
        unit = None if part is None else _SPELT_UNITS.get(part[2] or part[4])
        if part is None or unit is None or unit in counts:
            return None
        counts[unit] = part[1] or part[3] or "1"
        position = part.end()
    return _joined(counts)


def _joined(counts: dict[str, str]) -> str | None:
    """Joins counts of units in their order, without zeros; None if none is left."""
    left = {unit: number for unit, number in counts.items() if float(number)}
    if not left or ("W" in left and len(left) > 1):
        return None
    days = "".join(f"{left[one]}{one}" for one in "WD" if one in left)
    times = "".join(f"{left[one]}{one}" for one in "HMS" if one in left)
    return f"P{days}{f'T{times}' if times else ''}"
