"""Request and response models of calendars."""

from datetime import date
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from event_trigger.calendars.ics.blocks import check_length
from event_trigger.calendars.ics.expansion import MOST_DATES, YEARS_AHEAD
from event_trigger.models import Calendar
from event_trigger.web.keys import Key
from event_trigger.web.routes import HOLIDAYS
from event_trigger.web.schemas import Instant, RequestModel, ResponseModel, Text
from event_trigger.web.sent_back import SentBack

_FILE = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n…\r\nEND:VCALENDAR\r\n"


def _refuse_path(key: str) -> str:
    if key == HOLIDAYS:
        raise ValueError(f"Choose another key: /calendars/{HOLIDAYS} has the holidays of countries")
    return key


CalendarKey = Annotated[Key, AfterValidator(_refuse_path)]
Dates = Annotated[
    list[Text],
    Field(
        max_length=MOST_DATES,
        description="Local dates, in any order.",
        json_schema_extra={"items": {"type": "string", "format": "date"}},
        examples=[["2026-12-24", "2026-12-31"]],
    ),
]
Ics = Annotated[
    Text,
    AfterValidator(check_length),
    Field(
        description="The text of an iCalendar file (RFC 5545), of 512 KiB at most. Its all-day"
        " events are read, of recurring ones the dates of last year, of this one, and of"
        f" {YEARS_AHEAD} years ahead. Events with times are left out.",
        examples=[_FILE],
    ),
]


class CalendarBody(RequestModel):
    """Dates, or an iCalendar file that has them."""

    dates: Dates | None = None
    ics: Ics | None = None


class CalendarCreate(CalendarBody):
    key: CalendarKey


class CalendarListed(ResponseModel):
    id: int
    key: str = Field(examples=["closed"])
    count: int = Field(description="The number of its dates.")
    covers_until: date | None = Field(
        description="If something recurs without end in its iCalendar file, its dates are complete"
        " until then. Each year adds another one."
    )
    created_at: Instant
    updated_at: Instant


class CalendarRead(CalendarListed):
    dates: list[str] = Field(
        description="All dates, ascending: those that were given, or those of `ics`."
    )
    ics: str | None = Field(description="The iCalendar file, as it was given.")


class CalendarUser(ResponseModel):
    """A trigger whose schedule names the calendar."""

    id: int
    key: str | None
    name: str | None


class CalendarWritten(CalendarRead):
    warnings: list[str] = Field(
        description="What was not read, and triggers that have no instant left."
    )


class CalendarReplace(SentBack, CalendarBody):
    """A whole calendar. It keeps its key."""

    answer: ClassVar = CalendarWritten

    key: CalendarKey | None = None


def list_calendar(calendar: Calendar) -> CalendarListed:
    return CalendarListed(
        id=calendar.id,
        key=calendar.key,
        count=len(calendar.dates),
        covers_until=calendar.covers_until,
        created_at=calendar.created_at,
        updated_at=calendar.updated_at,
    )


def read_calendar(calendar: Calendar) -> CalendarRead:
    return CalendarRead(
        **list_calendar(calendar).model_dump(), dates=calendar.dates, ics=calendar.ics
    )
