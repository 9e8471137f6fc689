"""Changes triggers: by a merge patch, or by a whole body that replaces the configuration."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as copied
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.principal import Principal
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.instants import just_after
from event_trigger.models import Trigger, TriggerStatus, TriggerType, UnfiredReason
from event_trigger.triggers.configuration import (
    Configuration,
    configuration_in,
    configuration_of,
    details_after,
    patched,
)
from event_trigger.triggers.hook_port import (
    HookKeeper,
    HookSecrets,
    hook_secret_change,
    is_other_secret,
)
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.references import (
    DestinationNames,
    Resolver,
    TriggerPorts,
    check_may_name,
    ids_of,
    lock_named,
    resolver_for,
)
from event_trigger.triggers.repository import Triggers, announce
from event_trigger.triggers.schedule.canonical import means_same
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.triggers.schedule_changes import (
    OldSchedule,
    check_schedule,
    end_schedule,
    note_rules,
    plan_next,
    replan,
    schedule_before,
)
from event_trigger.triggers.schemas.requests import TriggerBody, TriggerUpdate
from event_trigger.triggers.stored_plans import heartbeat_or_refuse
from event_trigger.web.changes import Change, changes_between
from event_trigger.web.keys import refusing_taken_key

MAX_PAYLOAD_BYTES = 1024 * 1024  # of JSON, as large as a request body
# raises a Problem for a locked trigger that is not as the caller expects
Check = Callable[[Trigger], Awaitable[None]]


class OtherType(Conflict):
    slug, title = "trigger-type-fixed", "The type of a trigger cannot be changed"
    default_detail = (
        "This trigger has another type, and keeps it. Delete it first, or leave the type as it is."
    )


@dataclass(frozen=True, slots=True)
class Named:
    """The locked rows that a changed trigger names: destinations, and what its details need."""

    destinations: DestinationNames
    resolver: Resolver


@dataclass(frozen=True, slots=True)
class Replaced:
    """A trigger after a change, the places that differ, and the secrets of a hook just made."""

    trigger: Trigger
    changes: Sequence[Change]
    hook: HookSecrets | None


async def change(
    session: AsyncSession,
    ports: TriggerPorts,
    key: OwnedId,
    body: TriggerUpdate,
    *,
    by: Principal,
    check: Check,
) -> Replaced:
    """Applies a merge patch to a trigger; locks destinations and calendars that it names first."""
    wanted = body.destinations or []
    found: DestinationNames = {}
    if wanted:
        check_may_name(by, wanted, known=await _destinations_of(session, key))
        found = await lock_named(session, key.owner_id, wanted)
    resolver = await resolver_for(session, ports.calendars, key.owner_id, [body.details])
    trigger = await get_locked(session, key)
    await check(trigger)
    check_may_name(by, wanted, known=trigger.destinations)  # again, now that the row is locked
    details = details_after(trigger, body)
    configuration = patched(trigger, body, details, ids_of(wanted, found))
    given = details.given_secret
    changed = await _apply(session, ports.hooks, trigger, configuration, given, resolver)
    if "tags" in body.model_fields_set:  # also the same: an older replica may have left them out
        await Triggers(session).retag(trigger, trigger.tags)
    return changed


async def replace(
    session: AsyncSession,
    ports: TriggerPorts,
    trigger: Trigger,
    body: TriggerBody,
    *,
    named: Named,
    by: Principal,
) -> Replaced:
    """Gives a locked trigger the configuration of a whole body: absent fields mean their default.

    Its status stays, and the same content again changes nothing. The rows of `named` were locked
    before the trigger. Raises OtherType, KeyTaken, and Invalid.
    """
    if body.type != trigger.type:
        raise OtherType
    check_may_name(by, body.destinations, known=trigger.destinations)
    wanted = configuration_in(body, ids_of(body.destinations, named.destinations))
    if means_same(trigger.details, wanted.details):  # only a patch changes how it is written
        wanted = copied(wanted, details=trigger.details)
    given = body.details.given_secret
    return await _apply(session, ports.hooks, trigger, wanted, given, named.resolver)


async def _apply(
    session: AsyncSession,
    hooks: HookKeeper,
    trigger: Trigger,
    wanted: Configuration,
    given: str | None,
    resolver: Resolver,
) -> Replaced:
    """Gives a locked trigger another configuration, and its hook the `given` secret.

    If they mean the same as before, nothing is written.
    """
    before = configuration_of(trigger)
    changes = [*changes_between(before.as_json(), wanted.as_json())]
    if given is not None and await is_other_secret(session, hooks, trigger.id, given):
        changes.append(hook_secret_change())
    if not changes:
        return Replaced(trigger, (), None)
    with refusing_taken_key(wanted.key):
        hook = await _store(session, hooks, trigger, before, wanted, given, resolver)
    return Replaced(trigger, changes, hook)


async def _store(
    session: AsyncSession,
    hooks: HookKeeper,
    trigger: Trigger,
    before: Configuration,
    wanted: Configuration,
    given: str | None,
    resolver: Resolver,
) -> HookSecrets | None:
    """Stores a changed configuration.

    1. Changes the row, and plans a changed schedule again, from now on.
    2. Makes, changes or deletes the hook, rewrites changed tags, and wakes the dispatchers.
    """
    await rewrite(session, trigger, wanted, resolver, now=await database_now(session))
    await note_rules(session, trigger)
    hook = await hooks.follow_details(session, trigger, before=before.details, given=given)
    await session.flush()
    if trigger.tags != before.tags:
        await Triggers(session).retag(trigger, before.tags)
    await announce(session, OwnedId(trigger.owner_id, trigger.id))
    return hook


async def rewrite(
    session: AsyncSession,
    trigger: Trigger,
    wanted: Configuration,
    resolver: Resolver,
    *,
    now: datetime,
    is_checked: bool = False,
) -> None:
    """Changes a locked row, validates its payload, and plans a changed schedule again, from `now`.

    Rules of a zone, hook and tags are left to the caller, who may rewrite many triggers, and may
    have checked their payloads before.
    """
    old_schedule = schedule_before(trigger)
    wanted.store_in(trigger)
    if not is_checked:
        check_payload(trigger)
    trigger.updated_at = max(now, just_after(trigger.updated_at))
    trigger.loop_refused_at = None
    if trigger.type == TriggerType.SCHEDULED:
        before, details = old_schedule.details, trigger.details
        if schedule_part(details) != before:
            check_schedule(details, anchor=trigger.anchor_at)
        columns = resolver.columns_for(details, trigger, before=before)
        trigger.excluded_days, trigger.shift_seconds = columns
        await replan(session, trigger, old_schedule, now=now)
    elif trigger.type == TriggerType.HEARTBEAT:
        await replan_heartbeat(session, trigger, old_schedule, now=now)


async def replace_one(
    session: AsyncSession,
    ports: TriggerPorts,
    key: OwnedId,
    body: TriggerBody,
    *,
    by: Principal,
    check: Check,
) -> Replaced:
    """Replaces a trigger after `check` of the locked row; locks its destinations first."""
    found = await lock_named(session, key.owner_id, body.destinations)
    wanted = [body.details.as_stored()]
    resolver = await resolver_for(session, ports.calendars, key.owner_id, wanted)
    trigger = await get_locked(session, key)
    await check(trigger)
    return await replace(session, ports, trigger, body, named=Named(found, resolver), by=by)


async def get_locked(session: AsyncSession, key: OwnedId, *, named: str | None = None) -> Trigger:
    """Locks a trigger until the commit; raises NotFound.

    `named` is the key that it was found by: it may have lost that since.
    """
    trigger = await Triggers(session).get_locked(key)
    if trigger is None or (named is not None and trigger.key != named):
        raise NotFound
    return trigger


async def _destinations_of(session: AsyncSession, key: OwnedId) -> list[int]:
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    return trigger.destinations


def check_payload(trigger: Trigger) -> None:
    """Refuses a payload that is too large or, if the schedule fires it, breaks the schema."""
    text = json.dumps(trigger.payload, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MAX_PAYLOAD_BYTES:
        raise Invalid.at(["payload"], "A predefined payload may have at most 1 MiB of JSON.")
    schema = trigger.details.get("schema")
    if schema is not None and trigger.type == TriggerType.SCHEDULED:
        errors = payload_errors(schema, trigger.payload, "payload")
        if errors:
            raise Invalid("The payload does not match details.schema.", errors=errors)


async def replan_heartbeat(
    session: AsyncSession, trigger: Trigger, old: OldSchedule, *, now: datetime
) -> None:
    """Gives a heartbeat whose schedule or grace has changed a full period from now."""
    heartbeat_or_refuse(trigger.details)
    if schedule_part(trigger.details) == old.details:
        return
    await end_schedule(session, trigger, old, UnfiredReason.REPLACED, now=now)
    trigger.version += 1
    trigger.in_force_after = trigger.settled_until
    trigger.error = None
    if trigger.status != TriggerStatus.PAUSED:
        plan_next(trigger)
