"""HTTP operations on calendars, which are named by their keys."""

from typing import Annotated

from fastapi import Body, Response
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import EXPENSIVE, UNLIMITED, PrincipalDep, needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.calendars import lifecycle
from event_trigger.calendars.dependencies import (
    ContentReaderDep,
    checking,
    read_unless_known,
    read_written,
)
from event_trigger.calendars.repository import Calendars, CalendarUsers
from event_trigger.calendars.schemas import (
    CalendarCreate,
    CalendarListed,
    CalendarRead,
    CalendarReplace,
    CalendarUser,
    CalendarWritten,
    list_calendar,
)
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.web.cpu_bound import TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionDep, SettingsDep
from event_trigger.web.entity_tags import (
    NOT_MODIFIED,
    TAGGED,
    ChangingDep,
    PreconditionFailed,
    PuttingDep,
    ReadingDep,
)
from event_trigger.web.keys import KeyTaken, key_of
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.schemas import PathKey
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/calendars",
    tags=["calendars"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[UNLIMITED],
)
READ, WRITE = needs(Scope.TRIGGERS_READ), needs(Scope.TRIGGERS_WRITE)

_FILE = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\n"
    "BEGIN:VEVENT\r\nUID:1@example.com\r\nDTSTART;VALUE=DATE:20261224\r\n"
    "DTEND;VALUE=DATE:20261227\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\n"
    "END:VCALENDAR\r\n"
)
CREATE_EXAMPLES: dict[str, Example] = {
    "dates": {"value": {"key": "closed", "dates": ["2026-12-24", "2026-12-31"]}},
    "an iCalendar file": {"value": {"key": "christmas", "ics": _FILE}},
}
REPLACE_EXAMPLES: dict[str, Example] = {
    "dates": {"value": {"dates": ["2026-12-24", "2026-12-31"]}},
    "an iCalendar file": {"value": {"ics": _FILE}},
}
_CREATED = with_headers(201, "Location", "ETag")
_KEEPS_ITS_KEY = "A calendar keeps its key: for another one, create another calendar."


@router.post(
    "",
    summary="Create a calendar",
    operation_id="create_calendar",
    dependencies=[WRITE, EXPENSIVE, IDEMPOTENT],
    status_code=201,
    responses={
        **problems(
            lifecycle.TooManyCalendars, KeyTaken, UnsupportedMediaType, TooManyExpensiveCalls
        ),
        **_CREATED,
    },
)
async def create_calendar(
    body: Annotated[CalendarCreate, Body(openapi_examples=CREATE_EXAMPLES)],
    principal: PrincipalDep,
    session: SessionDep,
    reader: ContentReaderDep,
    settings: SettingsDep,
    response: Response,
) -> CalendarWritten:
    """Creates a named list of dates, on which schedules that name its key do not fire.

    A schedule names it in `details.except`, as `{"calendar": "closed"}`. Dates are local ones, in
    the schedule's time zone. `GET /calendars/holidays` has national holidays to begin with.
    """
    content = await reader.read(body)  # before the session has begun
    made = await lifecycle.create(
        session, principal.one_project_id, body.key, content, most=settings.max_calendars
    )
    response.headers["Location"] = f"/calendars/{made.key}"
    return read_written(made, content, response)


@router.get("", summary="List calendars", operation_id="list_calendars", dependencies=[READ])
async def list_calendars(
    principal: PrincipalDep, session: SessionDep, paging: PageQueryDep
) -> list[CalendarListed]:
    """Lists calendars without their dates, newest first. `Link` leads to the next page."""
    page = await Calendars(session).list_page(
        principal.project_id, before=paging.before_id(), limit=paging.limit
    )
    return [list_calendar(row) for row in paging.rows_of(page, lambda row: row.id)]


@router.get(
    "/{key:calendar_key}",
    summary="Read a calendar",
    operation_id="get_calendar",
    dependencies=[READ],
    response_model=CalendarRead,
    responses=TAGGED | NOT_MODIFIED,
)
async def get_calendar(
    key: PathKey,
    principal: PrincipalDep,
    session: SessionDep,
    reading: ReadingDep,
    response: Response,
) -> CalendarRead | Response:
    """Returns the calendar with all its dates, and the file that they come from, if any."""
    found = await Calendars(session).get(principal.one_project_id, key)
    if found is None:
        raise NotFound
    return read_unless_known(found, reading, response)


@router.put(
    "/{key:calendar_key}",
    summary="Create or replace a calendar",
    operation_id="put_calendar",
    dependencies=[WRITE, EXPENSIVE],
    responses={
        **problems(
            lifecycle.TooManyCalendars,
            PreconditionFailed,
            UnsupportedMediaType,
            TooManyExpensiveCalls,
        ),
        **TAGGED,
        201: {"model": CalendarWritten, "description": "It was created.", **_CREATED[201]},
    },
)
async def put_calendar(
    body: Annotated[CalendarReplace, Body(openapi_examples=REPLACE_EXAMPLES)],
    key: PathKey,
    principal: PrincipalDep,
    session: SessionDep,
    reader: ContentReaderDep,
    settings: SettingsDep,
    putting: PuttingDep,
    response: Response,
) -> CalendarWritten:
    """Creates the calendar with this key (201), or gives it other dates (200).

    Triggers that name it are planned by the new dates at once; `warnings` names those that have no
    instant left. The same content again changes nothing. A body may be the answer that was read
    before: unchanged read-only fields are ignored.
    """
    key_of(body.key, path=key, otherwise=_KEEPS_ITS_KEY)
    content = await reader.read(body)  # before the session has begun
    put = await lifecycle.put(
        session,
        principal.one_project_id,
        key,
        content,
        most=settings.max_calendars,
        check=checking(putting, body),
    )
    if put.is_new:
        response.status_code = 201
        response.headers["Location"] = f"/calendars/{key}"
    written = read_written(put.calendar, content, response)
    written.warnings += await lifecycle.warnings_of(session, put.calendar)
    return written


@router.get(
    "/{key:calendar_key}/triggers",
    summary="List the triggers of a calendar",
    operation_id="list_calendar_triggers",
    dependencies=[READ],
)
async def list_calendar_triggers(
    key: PathKey, principal: PrincipalDep, session: SessionDep, paging: PageQueryDep
) -> list[CalendarUser]:
    """Lists the triggers whose schedules name the calendar, newest first. `Link` leads on."""
    owner_id = principal.one_project_id
    if await Calendars(session).get(owner_id, key) is None:
        raise NotFound
    users = CalendarUsers(session, owner_id)
    page = await users.list_page(key, before=paging.before_id(), limit=paging.limit)
    return [CalendarUser.model_validate(one) for one in paging.rows_of(page, lambda one: one.id)]


@router.delete(
    "/{key:calendar_key}",
    summary="Delete a calendar",
    operation_id="delete_calendar",
    dependencies=[WRITE],
    status_code=204,
    responses=problems(lifecycle.CalendarInUse, PreconditionFailed),
)
async def delete_calendar(
    key: PathKey, principal: PrincipalDep, session: SessionDep, changing: ChangingDep
) -> None:
    """Deletes the calendar. Answers 409 while a trigger names it."""
    await lifecycle.delete(session, principal.one_project_id, key, check=checking(changing))
