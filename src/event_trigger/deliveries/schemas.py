"""What a delivery and its attempts look like over HTTP."""

from typing import Annotated

from pydantic import Field

from event_trigger.models import DeliveryError, DeliveryStatus
from event_trigger.web.schemas import Instant, QueryModel, RequestModel, ResponseModel, RowId


class DeliveryQuery(QueryModel):
    """Narrows a list of deliveries."""

    event_id: RowId | None = None
    trigger_id: RowId | None = None
    destination_id: RowId | None = None
    status: DeliveryStatus | None = None


class AttemptRead(ResponseModel):
    attempted_at: Instant
    duration_ms: float | None = Field(description="Null for an interrupted attempt.")
    status_code: int | None
    error: DeliveryError | None = Field(description="The kind of failure; null for a success.")
    response: str | None = Field(description="The first 2 KiB of the answer's body.")


class NumberedAttemptRead(AttemptRead):
    number: int = Field(examples=[1])


class DeliveryRead(ResponseModel):
    id: int
    event_id: int
    trigger_id: int
    destination_id: int
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: Instant | None = Field(
        description="Null when it is finished; while an attempt is under way, when its lease ends."
    )
    error: DeliveryError | None = Field(description="Why the last attempt failed, or why none is.")
    queued_at: Instant
    finished_at: Instant | None


class DeliveryDetail(DeliveryRead):
    attempts: list[NumberedAttemptRead]


class Redelivery(RequestModel):
    since: Instant
    until: Annotated[Instant, Field(examples=["2026-03-13T11:00:00Z"])]


class Redelivered(ResponseModel):
    count: int = Field(description="How many exhausted deliveries were put into the queue again.")
