"""Query and response models of events."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from event_trigger.events.source import SourceKind
from event_trigger.events.trigger_names import NAMELESS, TriggerNames
from event_trigger.events.window import Retention
from event_trigger.models import Event, EventState, EventType
from event_trigger.web.schemas import (
    Instant,
    JsonObject,
    QueryModel,
    ResponseModel,
    RowIds,
    Until,
    View,
)


class EventQuery(QueryModel):
    """Selects events, for all operations that read the log."""

    trigger_id: Annotated[
        RowIds | None, Field(description="Repeat it for the events of up to 100 triggers.")
    ] = None
    type: EventType | None = None
    is_test: bool | None = None
    source: Annotated[
        SourceKind | None,
        Field(description="The kind of their origin; see `source` of an event."),
    ] = None
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


def _is_absent(value: object) -> bool:
    return value is None


class EventSourceRead(ResponseModel):
    """The origin of an event; each member is there only if it is known."""

    may_lack = ("user_id", "key_id", "address", "method", "query", "headers")

    kind: SourceKind
    user_id: int | None = Field(
        None, exclude_if=_is_absent, description="Of logins, keys and replays."
    )
    key_id: int | None = Field(
        None, exclude_if=_is_absent, description="Of calls and replays with an API key."
    )
    address: str | None = Field(
        None, exclude_if=_is_absent, description="The IP address of the caller."
    )
    method: str | None = Field(None, exclude_if=_is_absent, description="Of hooks.")
    query: str | None = Field(
        None, exclude_if=_is_absent, description="Of hooks: the query of the URL, as it was sent."
    )
    headers: dict[str, str] | None = Field(
        None,
        exclude_if=_is_absent,
        description="Of hooks: the sender's headers that say what the call is about, by their name"
        " in lower case; never credentials or signatures.",
    )


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
    source: EventSourceRead | None = Field(
        description="Who or what made it; null for calls that an older version stored."
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
    trigger = named.get(event.trigger_id, NAMELESS)
    fields: dict[str, Any] = {
        "id": event.id,
        "trigger_id": event.trigger_id,
        "type": event.type,
        "triggered_at": event.triggered_at,
        "scheduled_for": event.scheduled_for,
        "payload": event.payload,
        "is_test": event.is_test,
        "state": retention.state_of(event.triggered_at, now=now),
        "replay_of": event.replay_of,
        "trigger_key": trigger.key,
        "trigger_name": trigger.name,
        "source": _source_of(event),
    }
    return EventRead(**fields)


def _source_of(event: Event) -> Mapping[str, Any] | None:
    """Reads the source of an event, without absent members; that of scheduled ones is no column."""
    return _SCHEDULE if event.type == EventType.SCHEDULED else event.source


_SCHEDULE = {"kind": SourceKind.SCHEDULE.value}


def json_line(read: ResponseModel) -> str:
    """Writes a model as one line of JSON."""
    return line_of(read.model_dump_json(exclude_unset=True).encode())


def line_of(written: bytes) -> str:
    """Makes one line of JSON, also for readers that break lines at Unicode's marks."""
    return written.decode().translate(_LINE_BREAKS)


_LINE_BREAKS = {ord(one): f"\\u{ord(one):04x}" for one in "\x85\u2028\u2029"}


class TriggerCount(ResponseModel):
    trigger_id: int = Field(examples=[7])
    count: int = Field(examples=[1])
