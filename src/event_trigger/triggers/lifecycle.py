"""Creates, pauses, resumes and deletes triggers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import lock_project
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import LimitedKey
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Conflict, LimitReached
from event_trigger.instants import just_after
from event_trigger.models import (
    OnCompletion,
    Trigger,
    TriggerStatus,
    TriggerType,
    UnfiredReason,
    shard_of,
)
from event_trigger.triggers.editing import (
    Check,
    Named,
    check_payload,
    get_locked,
    replace,
)
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets, verify_in
from event_trigger.triggers.references import (
    TriggerPorts,
    check_may_name,
    ids_of,
    lock_named,
    resolver_for,
)
from event_trigger.triggers.repository import Triggers, announce
from event_trigger.triggers.schedule.schedules import InstantRange
from event_trigger.triggers.schedule_changes import (
    begin_schedule,
    check_schedule,
    end_schedule,
    note_rules,
    plan_next,
    schedule_before,
    settle_due_instants,
)
from event_trigger.triggers.schemas.requests import TriggerBody
from event_trigger.web.keys import key_of

# gets the trigger that a key has, locked, or None; raises a Problem for an unexpected one
PutCheck = Callable[[Trigger | None], Awaitable[None]]


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
    ports: TriggerPorts,
    by: Principal,
    body: TriggerBody,
    *,
    most: int,
) -> SavedTrigger:
    """Stores a trigger, planned from the database's time on, and wakes the dispatchers.

    Raises TooManyTriggers if the project has `most`; 0 is no limit. Raises KeyTaken.
    """
    owner_id = by.one_project_id
    check_may_name(by, body.destinations)
    trigger = new_trigger(owner_id, body, now=await database_now(session))
    await _check_room(session, owner_id, most=most)
    found = await lock_named(session, owner_id, body.destinations)
    resolver = await resolver_for(session, ports.calendars, owner_id, [trigger.details])
    trigger.destinations = ids_of(body.destinations, found)
    await note_rules(session, trigger)
    await Triggers(session).add(trigger)
    resolver.plan_new([trigger])
    await session.flush()
    given = body.details.given_secret
    hook = await ports.hooks.follow_details(session, trigger, before={}, given=given)
    await announce(session, OwnedId(trigger.owner_id, trigger.id))
    return SavedTrigger(trigger, hook)


@dataclass(frozen=True, slots=True)
class Put:
    """The result of a PUT under a key: the trigger, a new hook, and whether it was created."""

    trigger: Trigger
    hook: HookSecrets | None
    is_new: bool


async def put(
    session: AsyncSession,
    ports: TriggerPorts,
    by: Principal,
    key: str,
    body: TriggerBody,
    *,
    most: int,
    check: PutCheck,
) -> Put:
    """Creates the trigger with a key, or replaces it.

    Locks the project first: of two calls with a new key, the second replaces the first one's.
    `check` gets the locked trigger, or None. Raises LimitedKey for a trigger that is not there, or
    that the API key is not good for.
    """
    owner_id = by.one_project_id
    await lock_project(session, owner_id)
    found = await lock_named(session, owner_id, body.destinations)
    wanted = [body.details.as_stored()]
    resolver = await resolver_for(session, ports.calendars, owner_id, wanted)
    triggers = Triggers(session)
    trigger = await triggers.get_by_key_locked(owner_id, key)
    if trigger is None:  # another one may have got the key while this waited for the former one
        trigger = await triggers.get_by_key_locked(owner_id, key)
    if by.trigger_ids is not None and (trigger is None or not by.may_see(trigger.id)):
        raise LimitedKey
    await check(trigger)
    body = body.model_copy(update={"key": key_of(body.key, path=key)})
    if trigger is not None:
        named = Named(found, resolver)
        replaced = await replace(session, ports, trigger, body, named=named, by=by)
        return Put(trigger, replaced.hook, is_new=False)
    made = await create(session, ports, by, body, most=most)
    return Put(made.trigger, made.hook, is_new=True)


def new_trigger(
    owner_id: int, body: TriggerBody, *, now: datetime, is_checked: bool = False
) -> Trigger:
    """Makes the row of a new trigger, planned from `now` on, without destinations.

    Validates the payload unless it `is_checked`, which takes milliseconds. Raises Invalid.
    """
    trigger = Trigger(
        shard=shard_of(owner_id),
        owner_id=owner_id,
        key=body.key,
        type=body.type,
        name=body.name,
        details=body.details.as_stored(),
        payload=body.payload,
        tags=body.tags,
        on_completion=None if body.on_completion == OnCompletion.KEEP else body.on_completion,
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
    if not is_checked:
        check_payload(trigger)
    check_schedule(trigger.details, anchor=now)
    begin_schedule(trigger, now=now)
    return trigger


async def _check_room(session: AsyncSession, project_id: int, *, most: int) -> None:
    """Locks the project before all other rows, as its deletion does."""
    await lock_project(session, project_id)
    if most and (used := await Triggers(session).count_of(project_id)) >= most:
        raise TooManyTriggers(used=used, most=most)


async def pause(session: AsyncSession, key: OwnedId, *, named: str | None = None) -> Trigger:
    """Takes the trigger off the schedule; does nothing if it is paused already."""
    trigger = await get_locked(session, key, named=named)
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.ACTIVE:
        now = await database_now(session)
        await settle_due_instants(
            session, trigger, schedule_before(trigger).plan, UnfiredReason.PAUSED, now=now
        )
        trigger.status = TriggerStatus.PAUSED
        trigger.next_fire_at = None
        trigger.updated_at = max(now, just_after(trigger.updated_at))
        await session.flush()
        await announce(session, OwnedId(trigger.owner_id, trigger.id))
    return trigger


@dataclass(frozen=True, slots=True)
class Resumed:
    """A resumed trigger, and the instants that fell into the pause, if any."""

    trigger: Trigger
    in_pause: InstantRange | None


async def resume(session: AsyncSession, key: OwnedId, *, named: str | None = None) -> Resumed:
    """Plans the trigger from now on, and records the instants in the pause as unfired."""
    trigger, in_pause = await get_locked(session, key, named=named), None
    if trigger.status == TriggerStatus.COMPLETED:
        raise AlreadyCompleted
    if trigger.status == TriggerStatus.PAUSED:
        now = await database_now(session)
        in_pause = await settle_due_instants(
            session, trigger, schedule_before(trigger).plan, UnfiredReason.PAUSED, now=now
        )
        trigger.updated_at = max(now, just_after(trigger.updated_at))
        trigger.error = None
        plan_next(trigger)
        await session.flush()
        await announce(session, OwnedId(trigger.owner_id, trigger.id))
    return Resumed(trigger, in_pause)


async def delete(
    session: AsyncSession,
    hooks: HookKeeper,
    key: OwnedId,
    *,
    named: str | None = None,
    check: Check | None = None,
) -> None:
    """Ends the schedule and deletes the trigger; records of its past stay as long as its events."""
    trigger = await get_locked(session, key, named=named)
    if check is not None:
        await check(trigger)
    if trigger.type == TriggerType.SCHEDULED:
        now = await database_now(session)
        await end_schedule(
            session, trigger, schedule_before(trigger), UnfiredReason.DELETED, now=now
        )
    if verify_in(trigger.details) is not None:
        await hooks.delete(session, trigger.id)
    await Triggers(session).delete(trigger)
    await announce(session, OwnedId(trigger.owner_id, trigger.id))
