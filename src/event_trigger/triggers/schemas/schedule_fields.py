"""The types of the members of a schedule: what each may be, and how the document shows it.

How members go together is for `schedule/details.py`, which refuses with advice.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from event_trigger.instants import parse_instant
from event_trigger.triggers.schedule.cron import MOST_LINES
from event_trigger.triggers.schedule.details import is_local_time
from event_trigger.triggers.schedule.excluded import MOST_EXCEPTIONS
from event_trigger.triggers.schedule.heartbeat import LONGEST_GRACE
from event_trigger.triggers.schedule.interval import (
    counts_months,
    parse_civil_interval,
    parse_duration,
    parse_interval,
)
from event_trigger.triggers.schedule.plan import LONGEST_CATCH_UP_WINDOW, CatchUp
from event_trigger.web.keys import Key, check_key
from event_trigger.web.schemas import RequestModel, check_storable

_MINUTE = timedelta(minutes=1)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NOT_WHOLE = re.compile(r"\d{4}-\d\d-\d\d|\d\d?:\d\d(:\d\d)?", re.ASCII)
_LONGEST_RULE = 1000  # characters


def _check_time(value: object) -> datetime | str:
    if is_local_time(value):
        return value
    if isinstance(value, str) and _NOT_WHOLE.fullmatch(value):
        raise ValueError(
            "Write a date and a time of day: 2030-01-31T09:00:00Z or, with timezone, a local time"
            " such as 2030-01-31T09:00:00"
        )
    return parse_instant(value)


def _check_interval(value: object) -> int | float | str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("Write minutes as a number, or an ISO 8601 duration such as PT90S")
    if counts_months(value):
        parse_civil_interval(value)
    else:
        parse_interval(value)
    return value


def _check_cron(value: object) -> str | list[str]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not 1 <= len(lines) <= MOST_LINES:
        raise ValueError(f"Write a cron line, or a list of 1 to {MOST_LINES} of them")
    for one in lines:
        if not isinstance(one, str):
            raise ValueError("Each line of cron is a string")
        check_storable(one)
    return value if isinstance(value, str) else lines


def _check_rule(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_RULE:
        raise ValueError(
            "Write a recurrence rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO, with at most"
            f" {_LONGEST_RULE} characters"
        )
    return check_storable(value)


def _check_exceptions(value: object) -> object:
    if not isinstance(value, list) or len(value) > MOST_EXCEPTIONS:
        raise ValueError(
            'Write a list such as ["2026-12-25", {"calendar": "closed"}], of up to'
            f" {MOST_EXCEPTIONS} dates, and put more of them in calendars"
        )
    return value


def _check_exception(value: object) -> str | dict[str, str]:
    if isinstance(value, Mapping) and value.keys() == {"calendar"}:
        key = value["calendar"]
        if not isinstance(key, str):
            raise ValueError("Name a calendar by its key, a string")
        return {"calendar": check_key(key)}
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            date.fromisoformat(value)
            return value
    except ValueError:
        raise ValueError("There is no such date") from None
    raise ValueError(
        'Write a date such as "2026-12-25", or name a calendar as {"calendar": "closed"}'
    )


def _check_spread(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("Write an ISO 8601 duration such as PT30M")
    parse_duration(value, "spread")
    return value


def _check_grace(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("Write an ISO 8601 duration such as PT5M")
    if parse_duration(value, "grace") > LONGEST_GRACE:
        raise ValueError("grace must be at least 1 second and at most 30 days")
    return value


def _check_window(value: object) -> int | float:
    most = LONGEST_CATCH_UP_WINDOW / _MINUTE
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"Write minutes as a number from 0 to {most:.0f}")
    return value


class NamedCalendar(RequestModel):
    """A calendar, by its key."""

    calendar: Key


def _shown(schema: dict[str, Any], description: str, *examples: Any) -> WithJsonSchema:
    return WithJsonSchema(schema | {"description": description, "examples": [*examples]})


Time = Annotated[
    datetime | str,
    PlainValidator(_check_time),
    _shown(
        {
            "type": "string",
            "pattern": "^(19[7-9][0-9]|[2-8][0-9]{3}|9000)-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:",
        },
        "An instant with an offset; with `timezone` it may be a local time without one.",
        "2026-03-13T10:00:00Z",
        "2027-01-31T09:00:00",
    ),
]
Interval = Annotated[
    int | float | str,
    PlainValidator(_check_interval),
    _shown(
        {"anyOf": [{"type": "number"}, {"type": "string", "format": "duration"}]},
        "Minutes, or an ISO 8601 duration: 1 second to 10 years. With `time` and `timezone` it"
        " counts whole days, weeks, months or years of the calendar.",
        30,
        "PT90S",
        "P1M",
    ),
]
CronLines = Annotated[
    str | list[str],
    PlainValidator(_check_cron),
    _shown(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": MOST_LINES,
                },
            ]
        },
        "Five fields of cron(8), or a name such as @daily; or a list of such lines, of which an"
        " instant that several name fires once.",
        "0 9 * * mon-fri",
        ["0 9 * * mon-fri", "0 11 * * sat"],
    ),
]
RecurrenceRule = Annotated[
    str,
    PlainValidator(_check_rule),
    _shown(
        {"type": "string", "maxLength": _LONGEST_RULE},
        "A recurrence rule of RFC 5545, whose DTSTART is `time`.",
        "FREQ=MONTHLY;BYDAY=-1FR",
    ),
]
Exceptions = Annotated[
    list[
        Annotated[
            Annotated[str, Field(json_schema_extra={"format": "date"})] | NamedCalendar,
            BeforeValidator(_check_exception),
        ]
    ],
    BeforeValidator(_check_exceptions),
    Field(
        description="Local dates without instants, and calendars with such dates, by their keys."
        " The date of an instant is that before `spread` makes it later.",
        examples=[["2026-12-25", {"calendar": "closed"}]],
        json_schema_extra={"maxItems": MOST_EXCEPTIONS},
    ),
]
Spread = Annotated[
    str,
    PlainValidator(_check_spread),
    _shown(
        {"type": "string", "format": "duration"},
        "Makes each instant later by a constant of this trigger, shorter than this, so that many"
        " triggers do not meet: up to a day, and to the distance of two instants.",
        "PT30M",
    ),
]
PingInterval = Annotated[
    int | float | str,
    PlainValidator(_check_interval),
    _shown(
        {"anyOf": [{"type": "number"}, {"type": "string", "format": "duration"}]},
        "From one ping to the next: minutes, or an ISO 8601 duration; 1 second to 10 years.",
        60,
        "P1D",
    ),
]
Grace = Annotated[
    str,
    PlainValidator(_check_grace),
    _shown(
        {"type": "string", "format": "duration"},
        "How late a ping may come: an ISO 8601 duration of 1 second to 30 days; PT5M by default.",
        "PT5M",
    ),
]
CatchUpText = Annotated[
    CatchUp,
    Field(
        strict=False,
        description="Which missed instants still fire: the latest one, all of them, or none.",
    ),
]
CatchUpWindow = Annotated[
    int | float,
    PlainValidator(_check_window),
    _shown(
        {"type": "number", "minimum": 0, "maximum": LONGEST_CATCH_UP_WINDOW / _MINUTE},
        "Minutes: older missed instants never fire.",
        1440,
    ),
]
