"""The log of events over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from event_trigger.auth.dependencies import Principal, PrincipalDep
from event_trigger.config import Settings
from event_trigger.db.clock import database_now
from event_trigger.errors import Invalid, NotFound, Unauthorized
from event_trigger.events.repository import EventFilter, Events
from event_trigger.events.schemas import EventRead, TriggerCount
from event_trigger.events.window import Retention, visible_window
from event_trigger.models import Event, EventState, EventType
from event_trigger.web.pagination import (
    DEFAULT_LIMIT,
    CursorText,
    Limit,
    encode_cursor,
    instant_cursor,
    link_next,
)
from event_trigger.web.problems import problems
from event_trigger.web.schemas import LARGEST_ID, Id, Instant
from event_trigger.web.services import service
from event_trigger.web.session import SessionDep
from event_trigger.web.strict_json import strict_router

router = strict_router(prefix="/events", tags=["events"], responses=problems(Unauthorized))


def get_retention(request: Request) -> Retention:
    settings = service(request, Settings)
    return Retention(settings.active_for, settings.keep_for)


RetentionDep = Annotated[Retention, Depends(get_retention)]


class EventQuery:
    """The filters that every way of reading the log understands."""

    def __init__(
        self,
        trigger_id: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
        kind: Annotated[EventType | None, Query(alias="type")] = None,
        state: Annotated[EventState | None, Query()] = None,
        is_test: Annotated[bool | None, Query()] = None,
        since: Annotated[Instant | None, Query(description="Inclusive.")] = None,
        until: Annotated[Instant | None, Query(description="Exclusive.")] = None,
    ) -> None:
        self.trigger_id = trigger_id
        self.kind = kind
        self.state = state
        self.is_test = is_test
        self.since = since
        self.until = until

    def filter(self, principal: Principal, retention: Retention, *, now: datetime) -> EventFilter:
        window = visible_window(
            retention, now=now, state=self.state, since=self.since, until=self.until
        )
        owner_id = None if principal.is_admin else principal.user_id
        return EventFilter(owner_id, window, self.trigger_id, self.kind, self.is_test)


def _read(event: Event, retention: Retention, *, now: datetime) -> EventRead:
    return EventRead(
        id=event.id,
        trigger_id=event.trigger_id,
        type=EventType(event.type),
        triggered_at=event.triggered_at,
        scheduled_for=event.scheduled_for,
        payload=event.payload,
        is_test=event.is_test,
        state=retention.state_of(event.triggered_at, now=now),
    )


@router.get(
    "",
    summary="List events, or count them",
    operation_id="list_events",
    responses=problems(Invalid),
)
async def list_events(
    request: Request,
    response: Response,
    principal: PrincipalDep,
    session: SessionDep,
    retention: RetentionDep,
    query: Annotated[EventQuery, Depends()],
    aggregate: Annotated[bool, Query(description="Count by trigger instead.")] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: CursorText = None,
) -> list[EventRead] | list[TriggerCount]:
    """Newest first; more pages are behind the `Link` header with `rel="next"`.

    With `aggregate=true`: how many events each trigger has in the window that the filters select,
    in the order of the triggers' ids, all in one answer.
    """
    now = await database_now(session)
    wanted = query.filter(principal, retention, now=now)
    if aggregate:
        counts = await Events(session).count_by_trigger(wanted)
        return [TriggerCount(trigger_id=one.trigger_id, count=one.fired) for one in counts]
    page = await Events(session).list_page(wanted, before=instant_cursor(cursor), limit=limit)
    link_next(request, response, _cursor_of(page.rows[-1]) if page.more else None)
    return [_read(event, retention, now=now) for event in page.rows]


def _cursor_of(event: Event) -> str:
    return encode_cursor(event.triggered_at, event.id)


@router.get(
    "/{event_id}",
    summary="Read an event",
    operation_id="get_event",
    responses=problems(NotFound, Invalid),
)
async def get_event(
    event_id: Id, principal: PrincipalDep, session: SessionDep, retention: RetentionDep
) -> EventRead:
    """One firing: when, why, and with which payload."""
    now = await database_now(session)
    owner_id = None if principal.is_admin else principal.user_id
    window = visible_window(retention, now=now)
    event = await Events(session).get(owner_id, event_id, window)
    if event is None:
        raise NotFound
    return _read(event, retention, now=now)
