"""Reads the five fields of cron(8), and refuses a line with a sentence on how to write it."""

import re
from datetime import datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

from event_trigger.triggers.schedule.errors import ScheduleError

_MAX_CHARACTERS = 256
_ANY_DATE = datetime(2000, 1, 1)  # noqa: DTZ001 - local time, in no zone yet

_ALIASES = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NUMBERS_OF_NAMES = {
    "month": {name: str(number) for number, name in enumerate(_MONTH_NAMES, start=1)},
    "day-of-week": {name: str(number) for number, name in enumerate(_DAY_NAMES)},
}
_LIMITS = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT",
}
_LETTERS = re.compile(r"[A-Z]+")
_VALUE = r"(?:[0-9]+|[A-Z]+)"
_TERM = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/[0-9]+)?"
_TERMS = re.compile(rf"{_TERM}(?:,{_TERM})*")
_STEPPED_RANGE = re.compile(r"([0-9]+)-([0-9]+)/[0-9]+")


@lru_cache(maxsize=1024)
def parse_fields(expression: str) -> CronSim:
    """Reads five fields, or an `@` name; raises ScheduleError."""
    fields = [
        _read_field(name, text)
        for name, text in zip(_LIMITS, _split_fields(expression), strict=True)
    ]
    try:
        return CronSim(" ".join(fields), _ANY_DATE)
    except CronSimError:
        message = "cron can never fire: its months do not have that day. Name one that they have."
        raise ScheduleError(message, field="cron") from None


def _split_fields(expression: str) -> list[str]:
    if len(expression) > _MAX_CHARACTERS:
        message = f"cron must have at most {_MAX_CHARACTERS} characters."
        raise ScheduleError(message, field="cron")
    if not (expression.isascii() and expression.isprintable()):
        message = "cron must be plain ASCII characters, its fields separated by spaces."
        raise ScheduleError(message, field="cron")
    text = expression.strip().upper()
    fields = _ALIASES.get(text, text).split()
    if text.startswith("@") and text not in _ALIASES:
        names = ", ".join(_ALIASES).lower()
        raise ScheduleError(f"cron has no such name: use one of {names}.", field="cron")
    if len(fields) != len(_LIMITS):
        names = ", ".join(_LIMITS)
        message = f"cron must have five fields ({names}): leave out seconds and years."
        raise ScheduleError(message, field="cron")
    return fields


def _read_field(name: str, text: str) -> str:
    """Writes one field in numbers, as cronsim reads it.

    cronsim takes `5-5/15` for `5-59/15`; by cron(8) it is 5 alone.
    """
    numbers = _NUMBERS_OF_NAMES.get(name, {})
    digits = _LETTERS.sub(lambda match: numbers.get(match[0], match[0]), text)
    if not _TERMS.fullmatch(text) or _LETTERS.search(digits):
        raise _bad_field(name)
    field = _STEPPED_RANGE.sub(_without_idle_step, digits)
    try:
        CronSim(" ".join(field if other == name else "*" for other in _LIMITS), _ANY_DATE)
    except CronSimError:
        raise _bad_field(name) from None
    return field


def _without_idle_step(term: re.Match[str]) -> str:
    return term[1] if int(term[1]) == int(term[2]) else term[0]


def _bad_field(name: str) -> ScheduleError:
    message = (
        f"The {name} field of cron must be *, or a list of numbers and ascending ranges"
        f" within {_LIMITS[name]}, with steps of at least 1 such as */2."
    )
    return ScheduleError(message, field="cron")
