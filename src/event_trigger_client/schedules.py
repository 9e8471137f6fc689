"""Describes when a trigger fires: `Cron("30 2 * * 1-5")`, `Every("PT15M")`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any


class Schedule:
    """The base of what makes a trigger fire; more fields of `details` are given by their names.

    `from_`, `until`, `max_fires`, `except_`, `spread`, `catch_up`, `catch_up_window`, `schema`.
    """

    type = "scheduled"

    def __init__(self, **details: Any) -> None:
        self.details: dict[str, Any] = {
            name.rstrip("_"): written(value) for name, value in details.items() if value is not None
        }

    def body(self) -> dict[str, Any]:
        """Gives the fields `type` and `details` of a trigger."""
        return {"type": self.type, "details": self.details}

    def __repr__(self) -> str:
        told = (f"{name}={value!r}" for name, value in self.details.items() if name != "hook")
        return f"{type(self).__name__}({', '.join(told)})"  # a hook may hold a secret


class Cron(Schedule):
    """Fires on each match of cron(8)'s expression, or of any of several, in a time zone."""

    def __init__(
        self, cron: str | Sequence[str], timezone: str | None = None, **details: Any
    ) -> None:
        expressions = cron if isinstance(cron, str) else [*cron]
        super().__init__(cron=expressions, timezone=timezone, **details)


class Interval(Schedule):
    """Fires every so often; `time` sets the grid.

    The distance is a timedelta, minutes, or an ISO 8601 duration. One of whole days, weeks, months
    or years with a `time` and a `timezone` keeps the local time.
    """

    def __init__(self, interval: timedelta | float | str, **details: Any) -> None:
        super().__init__(interval=interval, recurring=True, **details)


class At(Schedule):
    """Fires once, at an instant; a local time needs a `timezone`."""

    def __init__(self, time: datetime | str, timezone: str | None = None, **details: Any) -> None:
        super().__init__(time=time, timezone=timezone, **details)


class After(Schedule):
    """Fires once, that long after the trigger is made."""

    def __init__(self, interval: timedelta | float | str, **details: Any) -> None:
        super().__init__(interval=interval, **details)


class RRule(Schedule):
    """Fires on each match of a recurrence rule (RFC 5545), whose DTSTART is `time`."""

    def __init__(
        self, rrule: str, time: datetime | str, timezone: str | None = None, **details: Any
    ) -> None:
        super().__init__(rrule=rrule, time=time, timezone=timezone, **details)


class OnCall(Schedule):
    """Fires when it is called, and with `hook` when somebody posts to its URL."""

    type = "api"

    def __init__(self, *, hook: "Hook | Mapping[str, Any] | None" = None, **details: Any) -> None:
        super().__init__(hook=hook, **details)


class Heartbeat(Schedule):
    """Fires when a ping is missing by its time plus `grace`, and when the pings are back.

    Its time comes by `interval`, or by `cron` and `timezone`.
    """

    type = "heartbeat"


class Hook:
    """A URL that fires without a token; `verify` is how its calls are signed."""

    def __init__(self, verify: str = "none", **fields: Any) -> None:
        self.fields: Mapping[str, Any] = {"verify": verify, **fields}


def written(value: Any) -> Any:
    """Writes a value as the service reads it: times in RFC 3339, durations in ISO 8601."""
    if isinstance(value, timedelta):
        return f"PT{value / timedelta(seconds=1):.6f}".rstrip("0").rstrip(".") + "S"
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, Hook):
        return written(value.fields)
    if isinstance(value, Mapping):
        return {name: written(one) for name, one in value.items()}
    return [written(one) for one in value] if isinstance(value, list | tuple) else value
