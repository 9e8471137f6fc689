"""HTTP operations that read the event log: list, count, export, read one."""

from typing import Annotated

import structlog
from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Send

from event_trigger.auth.dependencies import EXPENSIVE, CredentialsDep, PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.db.replica.reads import all_shown_before
from event_trigger.errors import FieldError, Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.events.counts import count_by_trigger
from event_trigger.events.dependencies import RetentionDep, filter_for, visible_to
from event_trigger.events.export import ExportFormat, LoginEnded, export
from event_trigger.events.lists import ListedPage, read_page
from event_trigger.events.repository import Events
from event_trigger.events.schemas import (
    EventListed,
    EventListQuery,
    EventLogQuery,
    EventRead,
    TriggerCount,
    read_event,
)
from event_trigger.events.written import write_counts
from event_trigger.web.cpu_bound import CpuBoundDep, TooManyExpensiveCalls
from event_trigger.web.dependencies import ReadsDep, SessionDep
from event_trigger.web.invalid_requests import invalid
from event_trigger.web.pagination import PageQuery, PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import referred
from event_trigger.web.schemas import PathId
from event_trigger.web.strict_json import strict_router

log = structlog.get_logger()

router = strict_router(
    prefix="/events",
    tags=["events"],
    responses=problems(Unauthorized, Forbidden, NotFound),
    dependencies=[needs(Scope.EVENTS_READ)],
)


@router.get(
    "",
    summary="List events, or count them",
    operation_id="list_events",
    response_model=list[EventListed] | list[TriggerCount],
    response_model_exclude_unset=True,
    responses=problems(Invalid, TooManyExpensiveCalls),
)
async def list_events(
    principal: PrincipalDep,
    reads: ReadsDep,
    paging: PageQueryDep,
    retention: RetentionDep,
    cpu_bound: CpuBoundDep,
    query: Annotated[EventListQuery, Query()],
    aggregate: Annotated[bool, Query(description="Counts by trigger, instead of a list.")] = False,
) -> Response:
    """Lists events, newest first. The `Link` header with `rel="next"` leads to the next page.

    With `aggregate=true`, it counts the selected events of each trigger instead, as
    `GET /events/counts` does: in one answer, whatever `limit` and `view` are. It refuses `cursor`
    and `include`.
    """
    if aggregate:
        _refuse_paging(paging, query)
        return await count_events(principal, reads, retention, cpu_bound, query)
    before = paging.before_instant()

    async def read(session: AsyncSession) -> ListedPage:
        now = await database_now(session)
        return await read_page(session, principal, retention, query, paging, now=now)

    page = await reads.run(read, shown=all_shown_before(before and before[0]))
    return paging.answered(page.write(retention))


def _refuse_paging(paging: PageQuery, query: EventListQuery) -> None:
    """Raises Invalid for parameters that ask for another page, or for more of each event."""
    given = {"cursor": paging.cursor is not None, "include": query.include is not None}
    detail = "With aggregate=true, the answer is whole, and counts only. Leave this out."
    if errors := [FieldError("parameter", name, detail) for name in given if given[name]]:
        raise invalid(errors)


@router.get(
    "/counts",
    summary="Count events",
    operation_id="count_events",
    response_model=list[TriggerCount],
    responses=problems(Invalid, TooManyExpensiveCalls),
)
async def count_events(
    principal: PrincipalDep,
    reads: ReadsDep,
    retention: RetentionDep,
    cpu_bound: CpuBoundDep,
    query: Annotated[EventLogQuery, Query()],
) -> Response:
    """Counts the selected events of each trigger, by trigger id, in one response.

    A user may have two such counts running.
    """

    async def count(session: AsyncSession) -> dict[int, int]:
        now = await database_now(session)
        wanted = filter_for(principal, retention, query, now=now, state=query.state)
        return await count_by_trigger(session, wanted)

    async with cpu_bound.slot(principal.user_id):
        counts = await reads.run(count)
    # FastAPI would validate each of them, which takes longer than the count
    return Response(write_counts(counts), media_type="application/json")


class _ExportResponse(StreamingResponse):
    """Breaks off without the last chunk when the login ends, so that no part looks complete.

    The server closes the connection, which every client reports as an error.
    """

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except LoginEnded:
            log.info("export_broken_off")


@router.get(
    "/export",
    summary="Export events",
    operation_id="export_events",
    response_class=StreamingResponse,
    dependencies=[EXPENSIVE],
    responses={
        **problems(Invalid, TooManyExpensiveCalls),
        200: {
            "content": {kind.media_type: {"schema": kind.json_schema} for kind in ExportFormat},
            "headers": referred(["Content-Disposition"]),
        },
    },
)
async def export_events(
    principal: PrincipalDep,
    credentials: CredentialsDep,
    reads: ReadsDep,
    retention: RetentionDep,
    query: Annotated[EventLogQuery, Query()],
    format_: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.NDJSON,
) -> StreamingResponse:
    """Exports all selected events, newest first, as NDJSON or as CSV (RFC 4180).

    Events whose retention ends during the export are left out. If the login ends during the export,
    the response breaks off. In CSV, an apostrophe precedes values that a spreadsheet would take for
    a formula.
    """
    now = await reads.run(database_now)
    wanted = filter_for(principal, retention, query, now=now, state=query.state)

    async def is_signed_in() -> bool:
        return await credentials.is_current(principal)

    return _ExportResponse(
        export(reads, is_signed_in, wanted, retention, format_, now=now),
        media_type=format_.media_type,
        headers={"Content-Disposition": f'attachment; filename="events.{format_}"'},
    )


@router.get(
    "/{event_id}",
    summary="Read an event",
    operation_id="get_event",
    responses=problems(NotFound, Invalid),
)
async def get_event(
    event_id: PathId, principal: PrincipalDep, session: SessionDep, retention: RetentionDep
) -> EventRead:
    """Returns one event, with its payload."""
    now, events = await database_now(session), Events(session)
    event = await events.get(visible_to(principal, retention, now=now), event_id)
    if event is None:
        raise NotFound
    return read_event(event, retention, now=now, named=await events.name_triggers([event]))
