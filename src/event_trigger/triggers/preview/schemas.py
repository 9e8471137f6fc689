"""Request and response models of previews."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from event_trigger.triggers.preview.upcoming import Upcoming
from event_trigger.triggers.schedule.bases import Once
from event_trigger.triggers.schedule.describe import (
    cautions_of,
    cautions_on,
    daylight_note,
    describe_plan,
    rules_version,
)
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import zone_of
from event_trigger.triggers.schedule.zones import iana_name, read_rules
from event_trigger.triggers.schemas.details import ScheduledDetails
from event_trigger.web.schemas import Instant, QueryModel, RequestModel, ResponseModel

MOST_INSTANTS = 1000
NOT_SHIFTED = (
    "With spread, each trigger is later by a constant of its own, which it gets when it is created."
    " These instants are without it."
)
NO_INSTANT = "This schedule has no instant left: a trigger with it would never fire by itself."
Count = Annotated[
    int, Field(ge=1, le=MOST_INSTANTS, description="The largest number of instants to list.")
]


class PreviewQuery(QueryModel):
    """Selects the instants that a preview lists."""

    count: Count = 10
    after: Instant | None = Field(None, description="Exclusive; now by default.")
    from_: Instant | None = Field(None, alias="from", description="Inclusive.")
    until: Instant | None = Field(None, description="Inclusive.")


class PreviewRequest(RequestModel):
    """A schedule to preview."""

    details: ScheduledDetails
    count: Count = 10
    after: Instant | None = Field(None, description="Exclusive; now by default.")
    from_: Instant | None = Field(None, alias="from", description="Inclusive.")
    until: Instant | None = Field(None, description="Inclusive.")


class PlannedInstant(ResponseModel):
    at: Instant
    local: datetime = Field(
        description="The same instant in the time zone of the schedule.",
        examples=["2026-03-29T03:00:00+02:00"],
    )
    note: str | None = Field(
        description="How daylight saving moved or merged this instant.",
        examples=[
            "02:30 does not exist on 2026-03-29: the clocks go forward from 02:00 to 03:00,"
            " when it fires instead."
        ],
    )


class PreviewRead(ResponseModel):
    words: str = Field(examples=["At 02:30 every day, Europe/Berlin"])
    timezone: str = Field(examples=["Europe/Berlin"])
    zone_rules: str | None = Field(
        description="The version of the IANA time zone database; null without a zone.",
        examples=["2026f"],
    )
    instants: list[PlannedInstant]
    total: int | None = Field(
        description="The number of instants up to `until`; null without `until`."
    )
    warnings: list[str] = Field(
        description="What the schedule may do that its author does not expect.", examples=[[]]
    )


def read_preview(plan: Plan, found: Upcoming, details: Mapping[str, Any]) -> PreviewRead:
    schedule = plan.schedule
    zone, version = zone_of(schedule), rules_version(schedule)
    if isinstance(schedule.base, Once) and details.get("timezone") is not None:
        rules = read_rules(iana_name(details["timezone"]))  # beside a time with an offset
        zone, version = rules.zone, rules.version
    return PreviewRead(
        words=describe_plan(plan, details),
        timezone=str(zone),
        zone_rules=version,
        instants=[
            PlannedInstant(at=at, local=at.astimezone(zone), note=daylight_note(schedule, at))
            for at in found.instants
        ],
        total=found.total,
        warnings=[*cautions_of(schedule), *cautions_on(details)],
    )
