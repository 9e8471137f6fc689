"""Response models of a trigger's history."""

from typing import Annotated

from pydantic import Field

from event_trigger.models import ActorKind, AuditEntry, ScheduleVersion, Trigger
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.triggers.schemas.details import ScheduledDetailsRead
from event_trigger.triggers.schemas.reading import words_of
from event_trigger.web.schemas import DescribedAs, Instant, JsonObject, ResponseModel


class PastSchedule(ResponseModel):
    version: int
    details: Annotated[
        JsonObject,
        DescribedAs(ScheduledDetailsRead),
        Field(examples=[{"interval": 30, "recurring": True}]),
    ]
    words: str | None = Field(
        description="Null if this version of the service cannot read the details.",
        examples=["Every 30 minutes, counted from 2026-03-13T10:00:00Z"],
    )
    after: Instant = Field(description="It planned the instants after this one.")
    until: Instant | None = Field(description="The last of them; null for the present schedule.")
    zone_rules: str | None = Field(
        description="The digest of the time zone rules that it was planned by; null without a zone."
    )
    ended_by: str | None = Field(
        description="`change` or `zone_rules` (new time zone rules); null for the present schedule."
    )


class TriggerChange(ResponseModel):
    at: Instant
    actor: ActorKind = Field(description="The kind of caller; `operator` is the command line.")
    user_id: int | None
    key_id: int | None
    action: str = Field(description="The operation id, or the command of the operator.")
    before: JsonObject | None = Field(description="The changed fields, before the change.")
    after: JsonObject | None = Field(
        description="The fields after the change. Of a payload it says only that it was replaced."
    )


class TriggerHistory(ResponseModel):
    schedules: list[PastSchedule] = Field(description="Newest first; none for an API trigger.")
    changes: list[TriggerChange] = Field(
        description="Newest first: the last 100 of the last 90 days."
    )


def read_present(trigger: Trigger) -> PastSchedule:
    return PastSchedule(
        version=trigger.version,
        details=schedule_part(trigger.details),
        words=words_of(trigger.details, anchor=trigger.anchor_at),
        after=trigger.in_force_after,
        until=None,
        zone_rules=trigger.zone_rules,
        ended_by=None,
    )


def read_past(version: ScheduleVersion) -> PastSchedule:
    return PastSchedule(
        version=version.version,
        details=version.details,
        words=words_of(version.details, anchor=version.anchor_at),
        after=version.starts_after,
        until=version.ends_at,
        zone_rules=version.zone_rules,
        ended_by="change" if version.moved_to is None else "zone_rules",
    )


def read_change(entry: AuditEntry) -> TriggerChange:
    return TriggerChange.model_validate(entry)
