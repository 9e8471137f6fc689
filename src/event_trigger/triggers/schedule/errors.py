"""Holds the one error that reading a schedule raises."""

from typing import Literal

DetailName = Literal[
    "cron",
    "rrule",
    "time",
    "interval",
    "recurring",
    "timezone",
    "month_end",
    "from",
    "until",
    "max_fires",
    "except",
    "spread",
    "grace",
]


class ScheduleError(ValueError):
    """Refuses a schedule; `message` says how to write it, and never echoes the input."""

    def __init__(self, message: str, *, field: DetailName | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
