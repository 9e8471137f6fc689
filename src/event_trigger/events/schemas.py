"""Query and response models of events."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from event_trigger.events.trigger_names import NAMELESS, TriggerNames
from event_trigger.events.window import Retention
from event_trigger.models import DeliveryStatus, Event, EventState, EventType
from event_trigger.web.schemas import (
    Instant,
    JsonObject,
    QueryModel,
    ResponseModel,
    RowIds,
    View,
)
from event_trigger.web.spans import Until


class EventQuery(QueryModel):
    """Selects events, for all operations that read the log."""

    trigger_id: Annotated[
        RowIds | None, Field(description="Repeat it for the events of up to 100 triggers.")
    ] = None
    type: EventType | None = None
    is_test: bool | None = None
    since: Instant | None = Field(None, description="Inclusive.")
    until: Until = Field(None, description="Exclusive.")


class EventLogQuery(EventQuery):
    """Selects stored events; streams have no archived ones."""

    state: EventState | None = None


class EventPart(StrEnum):
    """The fields that a list of events adds to each of them."""

    DELIVERIES = "deliveries"


class EventListQuery(EventLogQuery):
    """Selects events for a list, and the fields that it shows."""

    view: Annotated[View, Field(description="`summary` leaves out `payload`.")] = View.FULL
    include: Annotated[
        EventPart | None,
        Field(description="Adds the numbers of each event's deliveries, by status."),
    ] = None


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
    trigger_key: str | None = Field(
        description="The key that its trigger has now; null if the trigger was deleted."
    )
    trigger_name: str | None = Field(
        description="The name that its trigger has now; null if the trigger was deleted."
    )


class DeliveryCounts(ResponseModel):
    """The numbers of an event's deliveries by status."""

    pending: int
    retrying: int
    delivered: int
    exhausted: int


class EventListed(EventRead):
    may_lack = ("payload", "deliveries")

    payload: JsonObject | None = Field(None, description="Absent with `view=summary`.")
    deliveries: DeliveryCounts | None = Field(None, description="Only with `include=deliveries`.")


def read_event(
    event: Event, retention: Retention, *, now: datetime, named: Mapping[int, TriggerNames]
) -> EventRead:
    """Reads an event; `named` has the names of its trigger, unless that was deleted."""
    fields = _fields(event, retention, now=now, named=named)
    return EventRead(**fields, payload=event.payload)


def list_event(
    event: Event,
    retention: Retention,
    *,
    now: datetime,
    named: Mapping[int, TriggerNames],
    counts: Mapping[int, Mapping[str, int]] | None,
    summary: bool,
) -> EventListed:
    """Reads an event for a list; a summary's payload was not read, so it must not be asked for."""
    fields = _fields(event, retention, now=now, named=named)
    if not summary:
        fields["payload"] = event.payload
    if counts is not None:
        found = counts.get(event.id, {})
        fields["deliveries"] = DeliveryCounts(**{one: found.get(one, 0) for one in DeliveryStatus})
    return EventListed(**fields)


def _fields(
    event: Event, retention: Retention, *, now: datetime, named: Mapping[int, TriggerNames]
) -> dict[str, Any]:
    trigger = named.get(event.trigger_id, NAMELESS)
    return {
        "id": event.id,
        "trigger_id": event.trigger_id,
        "type": EventType(event.type),
        "triggered_at": event.triggered_at,
        "scheduled_for": event.scheduled_for,
        "is_test": event.is_test,
        "state": retention.state_of(event.triggered_at, now=now),
        "replay_of": event.replay_of,
        "trigger_key": trigger.key,
        "trigger_name": trigger.name,
    }


def json_line(read: ResponseModel) -> str:
    """Writes a model as one line of JSON, also for readers that break lines at Unicode's marks."""
    return read.model_dump_json(exclude_unset=True).translate(_LINE_BREAKS)


_LINE_BREAKS = {ord(one): f"\\u{ord(one):04x}" for one in "\x85\u2028\u2029"}


class TriggerCount(ResponseModel):
    trigger_id: int = Field(examples=[7])
    count: int = Field(examples=[1])
