"""Reads cron lines of cron(8) in a time zone, or refuses them with what to write instead."""

import re
from collections.abc import Sequence
from functools import lru_cache

from event_trigger.triggers.schedule.cron_advice import advice_on, five_fields
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.walls.cron import CronLine
from event_trigger.triggers.schedule.walls.cron_fields import FIELDS, read_fields

MOST_LINES = 20
_MAX_CHARACTERS = 256
ALIASES = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_ZONE = re.compile(r"\s*(?:CRON_TZ|TZ)=(\S*)\s+", re.IGNORECASE)


@lru_cache(maxsize=4096)
def read_line(expression: str) -> CronLine:
    """Reads five fields, or an `@` name; raises ScheduleError."""
    if len(expression) > _MAX_CHARACTERS:
        message = f"cron must have at most {_MAX_CHARACTERS} characters."
        raise ScheduleError(message, field="cron")
    if "\n" in expression or "\r" in expression:
        message = "cron has a line break: leave it out, and write several lines as a list of them."
        raise ScheduleError(message, field="cron")
    tidy = expression.replace("\t", " ")
    if not (tidy.isascii() and tidy.isprintable()):
        message = (
            "cron must be plain ASCII characters, its fields separated by spaces or tabs, its"
            " ranges by -, and its names English, such as MON and JAN."
        )
        raise ScheduleError(message, field="cron")
    text = tidy.strip().upper()
    try:
        return _read(text)
    except ScheduleError:
        if advice := advice_on(text):
            raise ScheduleError(advice, field="cron") from None
        raise


def _read(text: str) -> CronLine:
    if text.startswith("@") and text not in ALIASES:
        names = ", ".join(ALIASES).lower()
        message = f"cron has no such name: use one of {names}, or five fields."
        raise ScheduleError(message, field="cron")
    fields = ALIASES.get(text, text).split()
    if len(fields) != len(FIELDS):
        raise ScheduleError(five_fields(), field="cron")
    return read_fields(fields)


def read_lines(expressions: Sequence[str]) -> tuple[CronLine, ...]:
    """Reads lines, with or without a zone; a refusal says which one it is about."""
    return tuple(_read_one_of(expressions, place) for place in range(len(expressions)))


def _read_one_of(expressions: Sequence[str], place: int) -> CronLine:
    line, zone = split_zone(expressions[place])
    try:
        return read_line(line)
    except ScheduleError as error:
        which = f"Line {place + 1}: " if len(expressions) > 1 else ""
        kept = "" if zone is None else " Keep its CRON_TZ in front, or write that as timezone."
        raise ScheduleError(f"{which}{error.message}{kept}", field="cron") from None


def split_zone(expression: str) -> tuple[str, str | None]:
    """Splits `CRON_TZ=zone` off a line; the zone is None without it."""
    found = _ZONE.match(expression) if "=" in expression else None
    return (expression, None) if found is None else (expression[found.end() :], found[1])
