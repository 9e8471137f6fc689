"""Tells which cron lines may be repeated in an advice."""

import re

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.walls.cron_fields import FIELDS, read_fields
from event_trigger.triggers.schedule.walls.cron_line import CronLine

_FIELD = re.compile(r"[0-9A-Z*?,/#-]{1,64}")


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
