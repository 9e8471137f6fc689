"""Reads the lists of events that queries select."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from event_trigger.auth.principal import Principal
from event_trigger.db.plain_session import ReadSession
from event_trigger.events.dependencies import filter_for
from event_trigger.events.pages import EventPages, ListedEvent
from event_trigger.events.schemas import EventListQuery
from event_trigger.events.window import Retention
from event_trigger.events.written import Counts, write_events
from event_trigger.web.pagination import PageQuery
from event_trigger.web.schemas import View


class ListedPage(NamedTuple):
    """The events of a page, and the counts of their deliveries if those are asked for."""

    events: Sequence[ListedEvent]
    counts: Counts | None
    now: datetime
    summary: bool

    def write(self, retention: Retention) -> bytes:
        """Writes the page, which needs no connection: a thousand events take milliseconds."""
        return write_events(
            self.events, retention, now=self.now, counts=self.counts, summary=self.summary
        )


async def read_page(
    session: ReadSession,
    principal: Principal,
    retention: Retention,
    query: EventListQuery,
    paging: PageQuery,
    *,
    now: datetime,
) -> ListedPage:
    """Reads the page that a query asks for at `now`; raises Invalid for another list's cursor."""
    before, summary = paging.before_instant(), query.view is View.SUMMARY
    events = EventPages(session)
    wanted = filter_for(principal, retention, query, now=now, state=query.state)
    page = await events.list_rows(
        wanted, now=now, before=before, limit=paging.limit, summary=summary
    )
    counts = None if query.include is None else await events.count_deliveries(page.rows)
    return ListedPage(paging.rows_of(page, _place_of), counts, now, summary)


def _place_of(event: ListedEvent) -> tuple[datetime, int]:
    """Returns the place of an event in its list."""
    return event.triggered_at, event.id
