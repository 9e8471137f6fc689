"""Reads the dates of a request off the event loop, and shows calendars with their `ETag`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Response

from event_trigger.calendars.content import Content, read_content
from event_trigger.calendars.lifecycle import etag_of
from event_trigger.calendars.schemas import (
    CalendarBody,
    CalendarRead,
    CalendarReplace,
    CalendarWritten,
    read_calendar,
)
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.models import Calendar
from event_trigger.web.cpu_bound import CpuBound, CpuBoundDep
from event_trigger.web.dependencies import SessionsDep
from event_trigger.web.entity_tags import Preconditions, not_modified


@dataclass(frozen=True, slots=True)
class ContentReader:
    """Reads the dates of bodies; a file is read without a database connection."""

    sessions: Sessions
    cpu_bound: CpuBound

    async def read(self, body: CalendarBody) -> Content:
        """Raises Invalid."""
        async with self.sessions() as session:
            year = (await database_now(session)).year
        return await self.cpu_bound.compute(partial(read_content, body.dates, body.ics, year=year))


async def get_content_reader(sessions: SessionsDep, cpu_bound: CpuBoundDep) -> ContentReader:
    return ContentReader(sessions, cpu_bound)


ContentReaderDep = Annotated[ContentReader, Depends(get_content_reader)]


def checking(
    preconditions: Preconditions, body: CalendarReplace | None = None
) -> Callable[[Calendar | None], None]:
    """Makes the check of a locked calendar, or of None where there is none, before a change.

    It raises PreconditionFailed, and Invalid for read-only fields that are not as they are now.
    """

    def check(calendar: Calendar | None) -> None:
        preconditions.check(None if calendar is None else etag_of(calendar))
        if body is not None and body.sent_back:
            shown = {} if calendar is None else read_calendar(calendar).model_dump(mode="json")
            body.check_sent_back({"warnings": [], **shown})

    return check


def read_unless_known(
    calendar: Calendar, reading: Preconditions, response: Response
) -> CalendarRead | Response:
    """Answers 304 to a client that has these dates already."""
    tag = etag_of(calendar)
    if reading.is_unmodified(tag):
        return not_modified(tag)
    response.headers["ETag"] = tag
    return read_calendar(calendar)


def read_written(calendar: Calendar, content: Content, response: Response) -> CalendarWritten:
    response.headers["ETag"] = etag_of(calendar)
    return CalendarWritten(**read_calendar(calendar).model_dump(), warnings=[*content.warnings])
