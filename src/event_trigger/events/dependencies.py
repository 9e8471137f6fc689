"""Makes the filters that keep readers of the event log within their rights and retention."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from event_trigger.auth.dependencies import OriginDep, PrincipalDep
from event_trigger.auth.principal import Principal
from event_trigger.events.filters import EventFilter
from event_trigger.events.schemas import EventQuery
from event_trigger.events.source import EventSource, caller_source
from event_trigger.events.window import Retention, visible_window
from event_trigger.models import EventState
from event_trigger.web.dependencies import app_state


async def get_retention(request: Request) -> Retention:
    settings = app_state(request).settings
    return Retention(settings.active_for, settings.keep_for)


RetentionDep = Annotated[Retention, Depends(get_retention)]


async def get_source(principal: PrincipalDep, origin: OriginDep) -> EventSource:
    """Describes the events that the caller of a request makes."""
    return caller_source(principal, origin.address)


SourceDep = Annotated[EventSource, Depends(get_source)]


def filter_for(
    principal: Principal,
    retention: Retention,
    query: EventQuery,
    *,
    now: datetime,
    state: EventState | None = None,
) -> EventFilter:
    """Makes the filter of a query, within the events that the caller may see at `now`."""
    window = visible_window(retention, now=now, state=state, since=query.since, until=query.until)
    return EventFilter(
        principal.project_id,
        window,
        query.type,
        query.is_test,
        principal.visible_among(query.trigger_id),
        query.source,
    )


def visible_to(principal: Principal, retention: Retention, *, now: datetime) -> EventFilter:
    """Makes the filter of all events that the caller may see at `now`."""
    window = visible_window(retention, now=now)
    return EventFilter(principal.project_id, window, trigger_ids=principal.trigger_ids)
