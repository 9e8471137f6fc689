"""Response models of `GET /triggers/recent`."""

from pydantic import Field

from event_trigger.models import UnfiredReason
from event_trigger.web.schemas import Instant, ResponseModel


class RecentInstant(ResponseModel):
    at: Instant = Field(
        description="The planned instant, the last one of several without an event, or the time of"
        " a call."
    )
    reason: UnfiredReason | None = Field(description="Why it did not fire; null if it did.")
    count: int = Field(description="1, or the number of instants of which `at` is the last one.")
    event_id: int | None
    lag_ms: float | None = Field(
        description="Milliseconds from the planned instant to the event; null without either."
    )


class RecentRead(ResponseModel):
    trigger_id: int
    instants: list[RecentInstant] = Field(description="Oldest first.")
