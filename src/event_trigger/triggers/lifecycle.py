"""Creating, changing, pausing and resuming: what may become of a trigger."""

import json
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.notify import SCHEDULE_CHANGED, notify
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.models import Trigger, TriggerStatus, TriggerType, shard_of
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.planning import Plan, plan_of
from event_trigger.triggers.repository import OwnedId, Triggers
from event_trigger.triggers.schedule_error import ScheduleError
from event_trigger.triggers.schemas import (
    ApiDetails,
    ApiTriggerCreate,
    Details,
    ScheduledDetails,
    ScheduledTriggerCreate,
    TriggerUpdate,
)
from event_trigger.web.problems import refused

_MICROSECOND = timedelta(microseconds=1)
LARGEST_PAYLOAD = 1024 * 1024  # bytes of JSON, as large as a body
IN_THE_PAST = "This trigger never fires by itself: its schedule has no instant left after now."
_DETAILS: dict[str, type[Details]] = {
    TriggerType.SCHEDULED: ScheduledDetails,
    TriggerType.API: ApiDetails,
}


class AlreadyCompleted(Conflict):
    slug, title = "trigger-completed", "The trigger is completed"
    default_detail = (
        "This trigger is completed: its schedule has no instant left. Change its details first."
    )


async def create(
    session: AsyncSession, owner_id: int, body: ScheduledTriggerCreate | ApiTriggerCreate
) -> Trigger:
    """Plans the first instant from the database's clock and wakes the dispatchers."""
    now = await database_now(session)
    trigger = Trigger(
        shard=shard_of(owner_id),
        owner_id=owner_id,
        type=body.type,
        name=body.name,
        details=_as_stored(body.details),
        payload=body.payload,
        tags=body.tags,
        anchor_at=now,
        created_at=now,
        updated_at=now,
        fire_count=0,
        scheduled_count=0,
        status=TriggerStatus.ACTIVE,
    )
    _check_payload(trigger)
    _plan(trigger, after=now)
    await Triggers(session).add(trigger)
    await notify(session, SCHEDULE_CHANGED)
    return trigger


async def change(session: AsyncSession, key: OwnedId, body: TriggerUpdate) -> Trigger:
    """Applies a merge patch; only a changed schedule is planned anew, from now on."""
    trigger = await _get_locked(session, key)
    now = await database_now(session)
    patch = body.model_dump(exclude_unset=True)
    if "name" in patch:
        trigger.name = body.name
    if "tags" in patch:
        trigger.tags = body.tags or []
    if "payload" in patch:
        trigger.payload = merge_patch(trigger.payload, body.payload)
    before = _readable_plan(trigger)
    trigger.details = _as_stored(
        _validated(trigger.type, merge_patch(trigger.details, body.details))
    )
    _check_payload(trigger)
    trigger.updated_at = now
    if trigger.type == TriggerType.SCHEDULED:
        _replan(trigger, before, now=now)
    await session.flush()
    await notify(session, SCHEDULE_CHANGED)
    return trigger


async def pause(session: AsyncSession, key: OwnedId) -> Trigger:
    """Takes the trigger off the schedule; pausing twice is pausing once."""
    trigger = await _get_locked(session, key)
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.ACTIVE:
        trigger.status = TriggerStatus.PAUSED
        trigger.next_fire_at = None
        trigger.updated_at = await database_now(session)
        await session.flush()
    return trigger


async def resume(session: AsyncSession, key: OwnedId) -> Trigger:
    """Plans from now on: what the pause swallowed is not caught up."""
    trigger = await _get_locked(session, key)
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.PAUSED:
        now = await database_now(session)
        trigger.updated_at = now
        trigger.error = None
        _plan(trigger, after=now)
        await session.flush()
        await notify(session, SCHEDULE_CHANGED)
    return trigger


def warnings_of(trigger: Trigger) -> list[str]:
    return [IN_THE_PAST] if trigger.status == TriggerStatus.COMPLETED else []


async def _get_locked(session: AsyncSession, key: OwnedId) -> Trigger:
    trigger = await Triggers(session).get_locked(key)
    if trigger is None:
        raise NotFound
    return trigger


def _as_stored(details: Details) -> dict[str, Any]:
    return details.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def _validated(kind: str, details: dict[str, Any]) -> Details:
    try:
        return _DETAILS[kind].model_validate(details)
    except ValidationError as error:
        found = [{**one, "loc": ("body", "details", *one["loc"])} for one in error.errors()]
        raise refused(found) from None


def _replan(trigger: Trigger, before: Plan | None, *, now: datetime) -> None:
    """Another grid starts now; one that only ends elsewhere, or is only spelt anew, goes on."""
    plan = _read_plan(trigger)
    if plan == before:
        return
    same_grid = before is not None and plan.grid == before.grid
    if not same_grid:
        trigger.anchor_at = now
    trigger.error = None
    if trigger.status != TriggerStatus.PAUSED:
        due = trigger.next_fire_at if same_grid else None  # perhaps by now, and not yet fired
        _plan(trigger, after=now if due is None else due - _MICROSECOND)


def _plan(trigger: Trigger, *, after: datetime) -> None:
    """Sets what follows from the schedule: the next instant, and whether there is one at all."""
    trigger.status = TriggerStatus.ACTIVE
    trigger.next_fire_at = None
    if trigger.type == TriggerType.SCHEDULED:
        plan = _read_plan(trigger)
        trigger.next_fire_at = plan.next_after(after, fired=trigger.scheduled_count)
        if trigger.next_fire_at is None:
            trigger.status = TriggerStatus.COMPLETED


def _read_plan(trigger: Trigger) -> Plan:
    try:
        return plan_of(trigger.details, anchor=trigger.anchor_at)
    except ScheduleError as error:
        path = ("details", error.field) if error.field else ("details",)
        raise Invalid.at(path, error.message) from None


def _readable_plan(trigger: Trigger) -> Plan | None:
    """The plan of stored details, or None where they can no longer be read."""
    try:
        details = _DETAILS[trigger.type].model_validate(trigger.details)
        return plan_of(_as_stored(details), anchor=trigger.anchor_at)
    except ValueError:  # pydantic's as well as ScheduleError
        return None


def _check_payload(trigger: Trigger) -> None:
    """A scheduled trigger fires what is predefined, so that must match; a call may complete it."""
    text = json.dumps(trigger.payload, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > LARGEST_PAYLOAD:
        raise Invalid.at(["payload"], "A predefined payload may have 1 MiB at the most.")
    schema = trigger.details.get("schema")
    if schema is not None and trigger.type == TriggerType.SCHEDULED:
        errors = payload_errors(schema, trigger.payload, "payload")
        if errors:
            raise Invalid("The payload does not match details.schema.", errors=errors)
