"""The HTTP operation that shows a trigger's history."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from event_trigger.audit.repository import AuditFilter, AuditLog
from event_trigger.auth.dependencies import needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.models import ActorKind, ScheduleVersion, Trigger, TriggerType
from event_trigger.triggers.dependencies import READ_AT_ONCE, TriggerKeyDep
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.triggers.schemas.details import HeartbeatDetailsRead, ScheduledDetailsRead
from event_trigger.triggers.schemas.reading import words_of
from event_trigger.triggers.versions import ScheduleHistory
from event_trigger.triggers.zone_updates.store import load_rules
from event_trigger.web.cpu_bound import taking_turns
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import DescribedAs, Instant, JsonObject, ResponseModel
from event_trigger.web.strict_json import strict_router

MOST_LISTED = 100

router = strict_router(
    prefix="/triggers",
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[needs(Scope.TRIGGERS_READ)],
)


class PastSchedule(ResponseModel):
    version: int
    details: Annotated[
        JsonObject,
        DescribedAs(ScheduledDetailsRead | HeartbeatDetailsRead),
        Field(examples=[{"interval": 30, "recurring": True}]),
    ]
    words: str | None = Field(
        description="Null if this version of the service cannot read the details.",
        examples=["Every 30 minutes, counted from 2026-03-13T10:00:00Z"],
    )
    after: Instant = Field(description="It planned the instants after this one.")
    until: Instant | None = Field(description="The last of them; null for the present schedule.")
    zone_rules: str | None = Field(
        description="The version of the zone rules that it was planned by; null without a zone.",
        examples=["2026a"],
    )
    ended_by: str | None = Field(
        description="`change`, `calendar` (the details stayed the same, and the dates of a calendar"
        " changed) or `zone_rules` (new time zone rules); null for the present schedule."
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


def _read_present(trigger: Trigger) -> PastSchedule:
    return PastSchedule(
        version=trigger.version,
        details=schedule_part(trigger.details),
        words=words_of(trigger),
        after=trigger.in_force_after,
        until=None,
        zone_rules=_version_of(trigger.zone_rules),
        ended_by=None,
    )


def _read_past(version: ScheduleVersion, details_after: Mapping[str, Any]) -> PastSchedule:
    """Reads a former schedule, after which came the one with such details."""
    return PastSchedule(
        version=version.version,
        details=version.details,
        words=words_of(version),
        after=version.starts_after,
        until=version.ends_at,
        zone_rules=_version_of(version.zone_rules),
        ended_by=_ended_by(version, details_after),
    )


def _version_of(digest: str | None) -> str | None:
    rules = None if digest is None else zone_rules().get_known(digest)
    return None if rules is None else rules.version


def _ended_by(version: ScheduleVersion, details_after: Mapping[str, Any]) -> str:
    if version.moved_to is not None:
        return "zone_rules"
    return "calendar" if version.details == details_after else "change"


@router.get(
    "/{trigger_id:id}/versions", summary="Show a trigger's history", operation_id="list_versions"
)
async def list_versions(key: TriggerKeyDep, session: SessionDep) -> TriggerHistory:
    """Shows the trigger's schedules so far, and the changes with their authors.

    A former schedule is kept for 48 hours after its end, as long as the events that it planned. It
    lists at most the newest 100.
    """
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    about = AuditFilter(project_id=key.owner_id, target="trigger", target_id=key.id, refused=False)
    changes = await AuditLog(session).list_page(about, before=None, limit=MOST_LISTED)
    past = await ScheduleHistory(session).list_newest(key, limit=MOST_LISTED)
    present = [] if trigger.type == TriggerType.API else [_read_present(trigger)]
    digests = [trigger.zone_rules, *(one.zone_rules for one in past)]
    await load_rules(session, [one for one in digests if one is not None])
    details = [schedule_part(trigger.details), *(one.details for one in past)]
    pairs = [*zip(past, details, strict=False)]  # each with the details of the newer one
    former = [_read_past(*one) async for one in taking_turns(pairs, at_once=READ_AT_ONCE)]
    return TriggerHistory(
        schedules=[*present, *former],
        changes=[TriggerChange.model_validate(one) for one in changes.rows],
    )
