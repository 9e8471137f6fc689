"""Response models of explanations and accounts."""

from typing import Annotated

from pydantic import Field

from event_trigger.models import UnfiredReason
from event_trigger.reconciliation.outcomes import Outcome
from event_trigger.reconciliation.reconcile import Discrepancy
from event_trigger.triggers.schemas.details import HeartbeatDetailsRead, ScheduledDetailsRead
from event_trigger.web.schemas import DescribedAs, Instant, JsonObject, ResponseModel


class ScheduleInForce(ResponseModel):
    version: int
    words: str | None = Field(
        description="The schedule in a sentence; null if it can no longer be read.",
        examples=["At 09:00 on Monday to Friday, Europe/Berlin"],
    )
    details: Annotated[JsonObject, DescribedAs(ScheduledDetailsRead | HeartbeatDetailsRead)]
    after: Instant = Field(description="The instant after which it was in force.")
    until: Instant | None = Field(description="The last instant of that; null if it still is.")
    zone_rules: str | None = Field(
        description="The version of the time zone rules; null without a zone.",
        examples=["2026f"],
    )


class ExplanationRead(ResponseModel):
    outcome: Outcome
    reason: str = Field(description="The outcome in words.")
    scheduled_for: Instant | None = Field(description="The planned instant; null if there is none.")
    event_id: int | None
    lag_ms: float | None = Field(description="Milliseconds from the planned instant to the event.")
    schedule: ScheduleInForce | None = Field(description="The schedule in force at the instant.")


class UnfiredRead(ResponseModel):
    version: int
    first: Instant
    last: Instant
    count: int
    reason: UnfiredReason


class DifferenceRead(ResponseModel):
    kind: Discrepancy
    first: Instant
    last: Instant
    count: int


class AccountRead(ResponseModel):
    """`planned` is the sum of `fired`, `pending`, all `unfired` and the unexplained instants."""

    trigger_id: int
    since: Instant
    until: Instant
    planned: int
    fired: int
    pending: int = Field(description="Due, and not fired yet.")
    unfired: dict[UnfiredReason, int]
    balanced: bool = Field(description="True if there are no differences.")
    differences: list[DifferenceRead] = Field(description="The first 1,000.")
    ranges: list[UnfiredRead] = Field(description="The newest 1,000 ranges that did not fire.")
