"""Writes the lists of events that queries select."""

from datetime import datetime

from event_trigger.auth.principal import Principal
from event_trigger.db.plain_session import ReadSession
from event_trigger.events.dependencies import filter_for
from event_trigger.events.pages import EventPages, ListedEvent
from event_trigger.events.schemas import EventListQuery
from event_trigger.events.window import Retention
from event_trigger.events.written import write_events
from event_trigger.web.pagination import PageQuery
from event_trigger.web.schemas import View


async def write_page(
    session: ReadSession,
    principal: Principal,
    retention: Retention,
    query: EventListQuery,
    paging: PageQuery,
    *,
    now: datetime,
) -> bytes:
    """Writes the page that a query asks for at `now`; raises Invalid for another list's cursor."""
    before, summary = paging.before_instant(), query.view is View.SUMMARY
    events = EventPages(session)
    wanted = filter_for(principal, retention, query, now=now, state=query.state)
    page = await events.list_rows(
        wanted, now=now, before=before, limit=paging.limit, summary=summary
    )
    counts = None if query.include is None else await events.count_deliveries(page.rows)
    rows = paging.rows_of(page, _place_of)
    return write_events(rows, retention, now=now, counts=counts, summary=summary)


def _place_of(event: ListedEvent) -> tuple[datetime, int]:
    """Returns the place of an event in its list."""
    return event.triggered_at, event.id
