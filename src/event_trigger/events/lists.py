"""Lists the events that a query selects, with the names of their triggers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from event_trigger.auth.principal import Principal
from event_trigger.db.keyset import Page
from event_trigger.db.plain_session import ReadSession
from event_trigger.events.dependencies import filter_for
from event_trigger.events.pages import EventPages
from event_trigger.events.schemas import EventListQuery, list_event
from event_trigger.events.window import Retention
from event_trigger.web.pagination import PageQuery
from event_trigger.web.schemas import View


async def list_page(
    session: ReadSession,
    principal: Principal,
    retention: Retention,
    query: EventListQuery,
    paging: PageQuery,
    *,
    now: datetime,
) -> Page[dict[str, Any]]:
    """Reads the page that a query asks for at `now`; raises Invalid for another list's cursor."""
    before, summary = paging.before_instant(), query.view is View.SUMMARY
    events = EventPages(session)
    wanted = filter_for(principal, retention, query, now=now, state=query.state)
    page = await events.list_page(
        wanted, now=now, before=before, limit=paging.limit, summary=summary
    )
    counts = None if query.include is None else await events.count_deliveries(page.rows)
    rows = [
        list_event(one, retention, now=now, named=page.named, counts=counts, summary=summary)
        for one in page.rows
    ]
    return Page(rows, page.more)


def place_of(event: Mapping[str, Any]) -> tuple[datetime, int]:
    """Returns the place of an event in its list."""
    return event["triggered_at"], event["id"]
