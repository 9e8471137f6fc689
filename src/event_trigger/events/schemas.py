"""Query and response models of events."""

from datetime import datetime

from pydantic import Field

from event_trigger.events.window import Retention
from event_trigger.models import Event, EventState, EventType
from event_trigger.web.schemas import Instant, JsonObject, QueryModel, ResponseModel, RowId


class EventQuery(QueryModel):
    """Selects events, for all operations that read the log."""

    trigger_id: RowId | None = None
    type: EventType | None = None
    is_test: bool | None = None
    since: Instant | None = Field(None, description="Inclusive.")
    until: Instant | None = Field(None, description="Exclusive.")


class EventLogQuery(EventQuery):
    """Selects stored events; streams have no archived ones."""

    state: EventState | None = None


class EventRead(ResponseModel):
    id: int
    trigger_id: int
    type: EventType = Field(description="How it was fired: by a schedule or by a call.")
    triggered_at: Instant
    scheduled_for: Instant | None = Field(description="The planned instant; null for calls.")
    payload: JsonObject | None
    is_test: bool
    state: EventState
    replay_of: int | None = Field(description="The id of the event that this one replays.")


def read_event(event: Event, retention: Retention, *, now: datetime) -> EventRead:
    return EventRead(
        id=event.id,
        trigger_id=event.trigger_id,
        type=EventType(event.type),
        triggered_at=event.triggered_at,
        scheduled_for=event.scheduled_for,
        payload=event.payload,
        is_test=event.is_test,
        state=retention.state_of(event.triggered_at, now=now),
        replay_of=event.replay_of,
    )


def json_line(read: ResponseModel) -> str:
    """Writes a model as one line of JSON, also for readers that break lines at Unicode's marks."""
    return read.model_dump_json().translate(_LINE_BREAKS)


_LINE_BREAKS = {ord(one): f"\\u{ord(one):04x}" for one in "\x85\u2028\u2029"}


class TriggerCount(ResponseModel):
    trigger_id: int = Field(examples=[7])
    count: int = Field(examples=[1])
