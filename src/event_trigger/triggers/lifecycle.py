"""Creates, changes, pauses, resumes and deletes triggers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.principal import Principal
from event_trigger.auth.project_lock import lock_project
from event_trigger.auth.scopes import LimitedKey, MissingScope, Scope
from event_trigger.db.clock import database_now
from event_trigger.db.notify import SCHEDULE_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Conflict, Invalid, LimitReached, NotFound
from event_trigger.models import Trigger, TriggerStatus, TriggerType, UnfiredReason, shard_of
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets, verify_in
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule_changes import (
    end_schedule,
    note_rules,
    plan_next,
    replan,
    schedule_before,
    settle_due_instants,
)
from event_trigger.triggers.schemas import (
    ApiDetails,
    ApiTriggerCreate,
    Details,
    ScheduledDetails,
    ScheduledTriggerCreate,
    TriggerUpdate,
)
from event_trigger.web.problems import invalid_request

MAX_PAYLOAD_BYTES = 1024 * 1024  # of JSON, as large as a request body
_DETAILS_MODELS: dict[str, type[Details]] = {
    TriggerType.SCHEDULED: ScheduledDetails,
    TriggerType.API: ApiDetails,
}


class AlreadyCompleted(Conflict):
    slug, title = "trigger-completed", "The trigger is completed"
    default_detail = (
        "This trigger is completed: its schedule has no instant left. Change its details first."
    )


class TooManyTriggers(LimitReached):
    slug, title = "too-many-triggers", "The project has too many triggers"
    counted, setting = "triggers", "EVENT_TRIGGER_MAX_TRIGGERS"
    instead = "Delete one"


@dataclass(frozen=True, slots=True)
class SavedTrigger:
    """A trigger, and the secrets of its hook if that was just made."""

    trigger: Trigger
    hook: HookSecrets | None


async def create(
    session: AsyncSession,
    hooks: HookKeeper,
    by: Principal,
    body: ScheduledTriggerCreate | ApiTriggerCreate,
    *,
    most: int,
) -> SavedTrigger:
    """Stores a trigger, planned from the database's time on, and wakes the dispatchers.

    Raises TooManyTriggers if the project has `most`; 0 is no limit.
    """
    owner_id = by.one_project_id
    check_may_name(by, body.destinations)
    now = await database_now(session)
    trigger = Trigger(
        shard=shard_of(owner_id),
        owner_id=owner_id,
        type=body.type,
        name=body.name,
        details=body.details.as_stored(),
        payload=body.payload,
        tags=body.tags,
        destinations=body.destinations,
        anchor_at=now,
        version=1,
        in_force_after=now,
        settled_until=now,
        created_at=now,
        updated_at=now,
        fire_count=0,
        scheduled_count=0,
        status=TriggerStatus.ACTIVE,
    )
    _check_payload(trigger)
    plan_next(trigger)
    await _check_room(session, owner_id, most=most)
    await _check_destinations(session, owner_id, body.destinations)
    await note_rules(session, trigger)
    await Triggers(session).add(trigger)
    hook = await hooks.follow_details(session, trigger, before={})
    await notify(session, SCHEDULE_CHANGED)
    return SavedTrigger(trigger, hook)


async def _check_room(session: AsyncSession, project_id: int, *, most: int) -> None:
    """Locks the project before all other rows, as its deletion does."""
    await lock_project(session, project_id)
    if most and (used := await Triggers(session).count_of(project_id)) >= most:
        raise TooManyTriggers(used=used, most=most)


async def change(
    session: AsyncSession, hooks: HookKeeper, key: OwnedId, body: TriggerUpdate, *, by: Principal
) -> SavedTrigger:
    """Applies a merge patch.

    1. Checks the named destinations, and locks the trigger.
    2. Applies the patch, and validates the details and the payload.
    3. Plans a changed schedule again, from now on.
    4. Makes or deletes the hook, rewrites changed tags, and wakes the dispatchers.
    """
    wanted = body.destinations or []
    if wanted:
        check_may_name(by, wanted, known=await _destinations_of(session, key))
        await _check_destinations(session, key.owner_id, wanted)
    trigger = await _get_locked(session, key)
    check_may_name(by, wanted, known=trigger.destinations)  # again, now that the row is locked
    now = await database_now(session)
    patch, tags_before = body.model_dump(exclude_unset=True), trigger.tags
    if "name" in patch:
        trigger.name = body.name
    if "tags" in patch:
        trigger.tags = body.tags or []
    if "destinations" in patch:
        trigger.destinations = body.destinations or []
    if "payload" in patch:
        trigger.payload = merge_patch(trigger.payload, body.payload)
    old_schedule, old_details = schedule_before(trigger), trigger.details
    merged = merge_patch(old_details, body.details)
    trigger.details = _validated(trigger.type, merged).as_stored()
    _check_payload(trigger)
    trigger.updated_at = now
    trigger.loop_refused_at = None
    if trigger.type == TriggerType.SCHEDULED:
        await replan(session, trigger, old_schedule, now=now)
        await note_rules(session, trigger)
    hook = await hooks.follow_details(session, trigger, before=old_details)
    await session.flush()
    if "tags" in patch:
        await Triggers(session).retag(trigger, tags_before)
    await notify(session, SCHEDULE_CHANGED)
    return SavedTrigger(trigger, hook)


async def pause(session: AsyncSession, key: OwnedId) -> Trigger:
    """Takes the trigger off the schedule; does nothing if it is paused already."""
    trigger = await _get_locked(session, key)
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.ACTIVE:
        now = await database_now(session)
        await settle_due_instants(
            session, trigger, schedule_before(trigger).plan, UnfiredReason.PAUSED, now=now
        )
        trigger.status = TriggerStatus.PAUSED
        trigger.next_fire_at = None
        trigger.updated_at = now
        await session.flush()
    return trigger


async def resume(session: AsyncSession, key: OwnedId) -> Trigger:
    """Plans the trigger from now on, and records the instants in the pause as unfired."""
    trigger = await _get_locked(session, key)
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.PAUSED:
        now = await database_now(session)
        await settle_due_instants(
            session, trigger, schedule_before(trigger).plan, UnfiredReason.PAUSED, now=now
        )
        trigger.updated_at = now
        trigger.error = None
        plan_next(trigger)
        await session.flush()
        await notify(session, SCHEDULE_CHANGED)
    return trigger


async def delete(session: AsyncSession, hooks: HookKeeper, key: OwnedId) -> None:
    """Ends the schedule and deletes the trigger; records of its past stay as long as its events."""
    trigger = await _get_locked(session, key)
    if trigger.type == TriggerType.SCHEDULED:
        now = await database_now(session)
        await end_schedule(
            session, trigger, schedule_before(trigger), UnfiredReason.DELETED, now=now
        )
    if verify_in(trigger.details) is not None:
        await hooks.delete(session, trigger)
    await Triggers(session).delete(trigger)


async def _get_locked(session: AsyncSession, key: OwnedId) -> Trigger:
    trigger = await Triggers(session).get_locked(key)
    if trigger is None:
        raise NotFound
    return trigger


def _validated(kind: str, details: dict[str, Any]) -> Details:
    try:
        return _DETAILS_MODELS[kind].model_validate(details)
    except ValidationError as error:
        found = [{**one, "loc": ("body", "details", *one["loc"])} for one in error.errors()]
        raise invalid_request(found) from None


def check_may_name(by: Principal, wanted: Sequence[int], *, known: Sequence[int] = ()) -> None:
    """Refuses to name new destinations to a caller that may not read destinations.

    Comes before the check that they exist, so that such a caller learns nothing of them.
    """
    if set(wanted) <= set(known):
        return
    if Scope.DESTINATIONS_READ not in by.scopes:
        raise MissingScope([Scope.DESTINATIONS_READ], "Naming another destination")
    if by.trigger_ids is not None:
        raise LimitedKey(
            "This API key is limited to some triggers, and cannot name destinations that they do"
            " not have yet. Leave destinations as they are, or use a key without trigger_ids."
        )


async def _destinations_of(session: AsyncSession, key: OwnedId) -> list[int]:
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    return trigger.destinations


async def _check_destinations(session: AsyncSession, owner_id: int, ids: Sequence[int]) -> None:
    """Locks the destinations before the trigger, as their deletion does, to avoid deadlocks."""
    if not ids:
        return
    known = await Triggers(session).list_known_destinations(owner_id, ids)
    for place, wanted in enumerate(ids):
        if wanted not in known:
            raise Invalid.at(["destinations", place], "There is no such destination.")


def _check_payload(trigger: Trigger) -> None:
    """Refuses a payload that is too large or, if the schedule fires it, breaks the schema."""
    text = json.dumps(trigger.payload, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MAX_PAYLOAD_BYTES:
        raise Invalid.at(["payload"], "A predefined payload may have at most 1 MiB of JSON.")
    schema = trigger.details.get("schema")
    if schema is not None and trigger.type == TriggerType.SCHEDULED:
        errors = payload_errors(schema, trigger.payload, "payload")
        if errors:
            raise Invalid("The payload does not match details.schema.", errors=errors)
