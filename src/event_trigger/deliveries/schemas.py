"""Query, request and response models of deliveries and their attempts."""

from typing import Annotated

from pydantic import ConfigDict, Field

from event_trigger.models import Delivery, DeliveryError, DeliveryStatus
from event_trigger.web.schemas import (
    Instant,
    JsonObject,
    QueryModel,
    RequestModel,
    ResponseModel,
    RowId,
    Until,
)


class DeliveryQuery(QueryModel):
    """Selects deliveries for a list."""

    event_id: RowId | None = None
    notice_id: RowId | None = None
    trigger_id: RowId | None = None
    destination_id: RowId | None = None
    status: Annotated[
        list[DeliveryStatus] | None,
        Field(min_length=1, max_length=len(DeliveryStatus), description="Repeat it for several."),
    ] = None
    error: Annotated[
        DeliveryError | None,
        Field(description="Why the last attempt failed, or none was made."),
    ] = None
    since: Annotated[
        Instant | None, Field(description="Of events triggered at this instant or later.")
    ] = None
    until: Annotated[Until, Field(description="Of events triggered before this instant.")] = None


class AttemptRead(ResponseModel):
    attempted_at: Instant
    duration_ms: float | None = Field(description="Null for an interrupted attempt.")
    status_code: int | None
    error: DeliveryError | None = Field(description="The kind of failure; null for a success.")
    response: str | None = Field(description="The first 2 KiB of the response body.")
    reason: str | None = Field(
        description="More about the failure, in words: why a template failed, or TLS with a public"
        " address; else null.",
        examples=["A certificate of the receiver has expired."],
    )
    location: str | None = Field(
        description="The `Location` of a redirect, which is not followed; null if the address is"
        " not public.",
        examples=["https://www.example.com/hook"],
    )


class NumberedAttemptRead(AttemptRead):
    number: int = Field(examples=[1])


class DeliveryRead(ResponseModel):
    id: int
    event_id: int | None = Field(description="Null for a notice.")
    trigger_id: int | None = Field(description="Null for a notice.")
    notice_id: int | None = Field(description="The notice that it carries; null for an event.")
    destination_id: int
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: Instant | None = Field(
        description="Null when finished. During an attempt, it is the end of its lease."
    )
    error: DeliveryError | None = Field(
        description="Why the last attempt failed, or none was made."
    )
    queued_at: Instant
    finished_at: Instant | None


class DeliveryDetail(DeliveryRead):
    attempts: list[NumberedAttemptRead]


def read_delivery(delivery: Delivery) -> DeliveryRead:
    """Shows a delivery; one that is exhausted without an error was cancelled."""
    is_notice = delivery.subject is not None
    status, error = DeliveryStatus(delivery.status), delivery.error
    if status is DeliveryStatus.EXHAUSTED and error is None:
        error = DeliveryError.CANCELLED
    return DeliveryRead(
        id=delivery.id,
        event_id=None if is_notice else delivery.event_id,
        trigger_id=None if is_notice else delivery.trigger_id,
        notice_id=delivery.event_id if is_notice else None,
        destination_id=delivery.destination_id,
        status=status,
        attempt_count=delivery.attempt_count,
        next_attempt_at=delivery.next_attempt_at,
        error=None if error is None else DeliveryError(error),
        queued_at=delivery.queued_at,
        finished_at=delivery.finished_at,
    )


class DestinationTest(RequestModel):
    """The body of a test. Without one, the service sends a sample."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": {"room": "blue"}}]})

    data: JsonObject | None = Field(
        None,
        description="The payload of the sample. Left out, or null, it is"
        ' `{"message": "This is a test of your destination."}`, or a sample of a notice if the'
        " destination hears of changes.",
    )


class Redelivery(RequestModel):
    since: Instant
    until: Annotated[Instant, Field(examples=["2026-03-13T11:00:00Z"])]


class Redelivered(ResponseModel):
    count: int = Field(description="The number of exhausted deliveries that were queued again.")
