"""The response model of refused calls."""

from typing import Annotated

from pydantic import Field

from event_trigger.models import HookMethod, HookRefusal
from event_trigger.web.schemas import Instant, ResponseModel


class HookRefusalRead(ResponseModel):
    """The calls of one minute that were refused for one reason."""

    at: Instant = Field(description="The time of the last one.")
    count: Annotated[int, Field(ge=1)] = Field(description="How many there were in that minute.")
    address: str | None = Field(
        description="The IP address that the last one came from; null if it is not known.",
        examples=["192.0.2.1"],
    )
    method: str = Field(examples=[HookMethod.POST])
    status: int = Field(description="The status of the answer; 202 for a paused trigger.")
    reason: str = Field(
        description="Why there is no event: `wrong_signature`, `timestamp_too_far`,"
        " `missing_header`, `trigger_paused`, `method_not_allowed`, `loop_detected`, and so on; the"
        " sender is told less.",
        examples=["wrong_signature"],
    )


def read_refusal(refusal: HookRefusal) -> HookRefusalRead:
    return HookRefusalRead(
        at=refusal.last_at,
        count=refusal.count,
        address=refusal.address,
        method=refusal.method,
        status=refusal.status,
        reason=refusal.reason,
    )
