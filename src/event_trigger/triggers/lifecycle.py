"""Creating, changing, pausing and resuming: what may become of a trigger."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import LimitedKey, MissingScope, Scope
from event_trigger.db.clock import database_now
from event_trigger.db.notify import SCHEDULE_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.models import Trigger, TriggerStatus, TriggerType, UnfiredReason, shard_of
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets, verify_in
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule_changes import (
    end,
    ending_of,
    note_rules,
    plan_next,
    replan,
    settle,
)
from event_trigger.triggers.schemas import (
    ApiDetails,
    ApiTriggerCreate,
    Details,
    ScheduledDetails,
    ScheduledTriggerCreate,
    TriggerUpdate,
)
from event_trigger.web.problems import refused

LARGEST_PAYLOAD = 1024 * 1024  # bytes of JSON, as large as a body
_DETAILS: dict[str, type[Details]] = {
    TriggerType.SCHEDULED: ScheduledDetails,
    TriggerType.API: ApiDetails,
}


class AlreadyCompleted(Conflict):
    slug, title = "trigger-completed", "The trigger is completed"
    default_detail = (
        "This trigger is completed: its schedule has no instant left. Change its details first."
    )


@dataclass(frozen=True, slots=True)
class Written:
    """A trigger, and the secrets of its hook if that was just made."""

    trigger: Trigger
    hook: HookSecrets | None


async def create(
    session: AsyncSession,
    hooks: HookKeeper,
    by: Principal,
    body: ScheduledTriggerCreate | ApiTriggerCreate,
) -> Written:
    """Plans the first instant from the database's clock and wakes the dispatchers."""
    owner_id = by.user_id
    check_may_name(by, body.destinations)
    await _check_destinations(session, owner_id, body.destinations)
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
    await note_rules(session, trigger)
    await Triggers(session).add(trigger)
    hook = await hooks.follow_details(session, trigger, before={})
    await notify(session, SCHEDULE_CHANGED)
    return Written(trigger, hook)


async def change(
    session: AsyncSession, hooks: HookKeeper, key: OwnedId, body: TriggerUpdate, *, by: Principal
) -> Written:
    """Applies a merge patch; only a changed schedule is planned anew, from now on."""
    wanted = body.destinations or []
    if wanted:
        check_may_name(by, wanted, known=await _destinations_of(session, key))
        await _check_destinations(session, key.owner_id, wanted)
    trigger = await _get_locked(session, key)
    check_may_name(by, wanted, known=trigger.destinations)  # as it is now that nobody changes it
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
    ending, before = ending_of(trigger), trigger.details
    merged = merge_patch(before, body.details)
    trigger.details = _validated(trigger.type, merged).as_stored()
    _check_payload(trigger)
    trigger.updated_at = now
    trigger.loop_refused_at = None
    if trigger.type == TriggerType.SCHEDULED:
        await replan(session, trigger, ending, now=now)
        await note_rules(session, trigger)
    hook = await hooks.follow_details(session, trigger, before=before)
    await session.flush()
    if "tags" in patch:
        await Triggers(session).retag(trigger, tags_before)
    await notify(session, SCHEDULE_CHANGED)
    return Written(trigger, hook)


async def pause(session: AsyncSession, key: OwnedId) -> Trigger:
    """Takes the trigger off the schedule; pausing twice is pausing once."""
    trigger = await _get_locked(session, key)
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.ACTIVE:
        now = await database_now(session)
        await settle(session, trigger, ending_of(trigger).plan, UnfiredReason.PAUSED, now=now)
        trigger.status = TriggerStatus.PAUSED
        trigger.next_fire_at = None
        trigger.updated_at = now
        await session.flush()
    return trigger


async def resume(session: AsyncSession, key: OwnedId) -> Trigger:
    """Plans from now on: what the pause swallowed is not caught up, but on record."""
    trigger = await _get_locked(session, key)
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.PAUSED:
        now = await database_now(session)
        await settle(session, trigger, ending_of(trigger).plan, UnfiredReason.PAUSED, now=now)
        trigger.updated_at = now
        trigger.error = None
        plan_next(trigger)
        await session.flush()
        await notify(session, SCHEDULE_CHANGED)
    return trigger


async def delete(session: AsyncSession, hooks: HookKeeper, key: OwnedId) -> None:
    """Ends the schedule; what accounts for its past stays as long as its events."""
    trigger = await _get_locked(session, key)
    if trigger.type == TriggerType.SCHEDULED:
        now = await database_now(session)
        await end(session, trigger, ending_of(trigger), UnfiredReason.DELETED, now=now)
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
        return _DETAILS[kind].model_validate(details)
    except ValidationError as error:
        found = [{**one, "loc": ("body", "details", *one["loc"])} for one in error.errors()]
        raise refused(found) from None


def check_may_name(by: Principal, wanted: Sequence[int], *, known: Sequence[int] = ()) -> None:
    """Lets a caller name only destinations that it may read, besides those that are named already.

    Whether the others exist is not looked at before.
    """
    if set(wanted) <= set(known):
        return
    if Scope.DESTINATIONS_READ not in by.scopes:
        raise MissingScope([Scope.DESTINATIONS_READ], "Naming another destination")
    if by.trigger_ids is not None:
        raise LimitedKey(
            "This API key is only good for some triggers, and cannot name destinations that they do"
            " not have yet. Leave them as they are, or use a key without trigger_ids."
        )


async def _destinations_of(session: AsyncSession, key: OwnedId) -> list[int]:
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    return trigger.destinations


async def _check_destinations(session: AsyncSession, owner_id: int, ids: Sequence[int]) -> None:
    """Locks them before the trigger, as deleting one does: two that meet do not deadlock."""
    if not ids:
        return
    known = await Triggers(session).list_known_destinations(owner_id, ids)
    for place, wanted in enumerate(ids):
        if wanted not in known:
            raise Invalid.at(["destinations", place], "There is no such destination.")


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
