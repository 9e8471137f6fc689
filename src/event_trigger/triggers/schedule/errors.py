"""Why a schedule cannot be kept: the one error that all arithmetic about schedules raises."""

from typing import Literal

Field = Literal["cron", "time", "interval", "recurring", "timezone", "until", "max_fires"]


class ScheduleError(ValueError):
    """A schedule that cannot be kept; `message` says what to change and never echoes the input."""

    def __init__(self, message: str, *, field: Field | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
