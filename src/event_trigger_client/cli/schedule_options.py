"""The options that describe a schedule, and the details of a trigger that they make."""

from collections.abc import Sequence
from typing import Annotated, Any

from typer import Option

Crons = Annotated[
    list[str] | None, Option("--cron", help="A cron line; an instant of several fires once.")
]
Every = Annotated[str | None, Option("--every", help="An interval, such as PT15M.")]
At = Annotated[str | None, Option("--at", help="One instant, or the start of an interval.")]
RRule = Annotated[
    str | None, Option("--rrule", help="A recurrence rule (RFC 5545) that starts --at.")
]
Zone = Annotated[str | None, Option("--tz", help="The time zone, such as Europe/Berlin.")]
Until = Annotated[str | None, Option("--until", help="No instant after this.")]
MaxFires = Annotated[int | None, Option("--max-fires", help="So many instants at most.")]
CatchUp = Annotated[
    str | None, Option("--catch-up", help="What fires of missed instants: latest, all, none.")
]


def details_of(
    *,
    cron: Sequence[str] | None = None,
    every: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Writes details as the service reads them; what is not given is left out."""
    named = {"time": others.pop("at", None), "timezone": others.pop("tz", None), **others}
    details = {name: value for name, value in named.items() if value is not None}
    if cron:
        details["cron"] = cron[0] if len(cron) == 1 else list(cron)
    if every is not None:
        details |= {"interval": every, "recurring": True}
    return details


def details_of_line(line: str) -> dict[str, Any]:
    """Reads a line as what it looks like: an interval, a recurrence rule, or cron."""
    if line.upper().startswith("P"):
        return {"interval": line, "recurring": True}
    if line.upper().startswith(("FREQ=", "RRULE:")):
        return {"rrule": line.upper().removeprefix("RRULE:")}
    return {"cron": line}
