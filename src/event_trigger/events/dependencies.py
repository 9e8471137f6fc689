"""What every way of reading the log needs to know: its windows, and the filters."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Request

from event_trigger.auth.principal import Principal
from event_trigger.events.filters import EventFilter
from event_trigger.events.window import Retention, visible_window
from event_trigger.models import EventState, EventType
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.schemas import Instant
from event_trigger.web.state import app_state, on_the_loop


async def get_retention(request: Request) -> Retention:
    settings = app_state(request).settings
    return Retention(settings.active_for, settings.keep_for)


RetentionDep = Annotated[Retention, Depends(get_retention)]


class EventFilters:
    """What every way of reading the log can be narrowed to."""

    def __init__(
        self,
        trigger_id: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
        kind: Annotated[EventType | None, Query(alias="type")] = None,
        is_test: Annotated[bool | None, Query()] = None,
        since: Annotated[Instant | None, Query(description="Inclusive.")] = None,
        until: Annotated[Instant | None, Query(description="Exclusive.")] = None,
    ) -> None:
        self.trigger_id = trigger_id
        self.kind = kind
        self.is_test = is_test
        self.since = since
        self.until = until

    def for_reader(
        self,
        principal: Principal,
        retention: Retention,
        *,
        now: datetime,
        state: EventState | None = None,
    ) -> EventFilter:
        window = visible_window(retention, now=now, state=state, since=self.since, until=self.until)
        return EventFilter(
            principal.owner_id,
            window,
            self.trigger_id,
            self.kind,
            self.is_test,
            principal.trigger_ids,
        )


def visible_to(principal: Principal, retention: Retention, *, now: datetime) -> EventFilter:
    """All that somebody may see at an instant."""
    window = visible_window(retention, now=now)
    return EventFilter(principal.owner_id, window, trigger_ids=principal.trigger_ids)


EventFiltersDep = Annotated[EventFilters, Depends(on_the_loop(EventFilters))]
StateParameter = Annotated[EventState | None, Query()]
