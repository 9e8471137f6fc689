"""What an event looks like over HTTP."""

from pydantic import Field

from event_trigger.models import EventState, EventType
from event_trigger.web.schemas import Instant, JsonObject, ResponseModel


class EventRead(ResponseModel):
    id: int
    trigger_id: int
    type: EventType = Field(description="How it was fired: by its schedule or by a call.")
    triggered_at: Instant
    scheduled_for: Instant | None = Field(description="The planned instant; null for calls.")
    payload: JsonObject | None
    is_test: bool
    state: EventState


class TriggerCount(ResponseModel):
    trigger_id: int = Field(examples=[7])
    count: int = Field(examples=[1])
