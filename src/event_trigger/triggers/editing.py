"""Changes triggers: by a merge patch, or by a whole body that replaces the configuration."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as copied
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.principal import Principal
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.instants import just_after
from event_trigger.models import OnCompletion, Trigger, TriggerType
from event_trigger.triggers.announcing import announce
from event_trigger.triggers.configuration import (
    Configuration,
    configuration_in,
    configuration_of,
)
from event_trigger.triggers.destination_names import (
    DestinationNames,
    check_may_name,
    ids_of,
    lock_named,
)
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.meaning import means_same
from event_trigger.triggers.schedule_changes import note_rules, replan, schedule_before
from event_trigger.triggers.schemas.details import ApiDetails, Details, ScheduledDetails
from event_trigger.triggers.schemas.fields import NEVER_COMPLETES
from event_trigger.triggers.schemas.requests import TriggerBody, TriggerUpdate
from event_trigger.web.changes import Change, changes_between, is_same
from event_trigger.web.keys import refusing_taken_key
from event_trigger.web.problems import invalid_request

MAX_PAYLOAD_BYTES = 1024 * 1024  # of JSON, as large as a request body
_DETAILS_MODELS: dict[str, type[Details]] = {
    TriggerType.SCHEDULED: ScheduledDetails,
    TriggerType.API: ApiDetails,
}
# raises a Problem for a locked trigger that is not as the caller expects
Check = Callable[[Trigger], Awaitable[None]]


class OtherType(Conflict):
    slug, title = "trigger-type-fixed", "The type of a trigger cannot be changed"
    default_detail = (
        "This trigger has another type, and keeps it. Delete it first, or leave the type as it is."
    )


@dataclass(frozen=True, slots=True)
class Replaced:
    """A trigger after a change, the places that differ, and the secrets of a hook just made."""

    trigger: Trigger
    changes: Sequence[Change]
    hook: HookSecrets | None


async def change(
    session: AsyncSession,
    hooks: HookKeeper,
    key: OwnedId,
    body: TriggerUpdate,
    *,
    by: Principal,
    check: Check,
) -> Replaced:
    """Applies a merge patch to a trigger; locks the destinations that it names first."""
    wanted = body.destinations or []
    found: DestinationNames = {}
    if wanted:
        check_may_name(by, wanted, known=await _destinations_of(session, key))
        found = await lock_named(session, key.owner_id, wanted)
    trigger = await get_locked(session, key)
    await check(trigger)
    check_may_name(by, wanted, known=trigger.destinations)  # again, now that the row is locked
    configuration = _patched(trigger, body, ids_of(wanted, found))
    changed = await _apply(session, hooks, trigger, configuration)
    if "tags" in body.model_fields_set:  # also the same: an older replica may have left them out
        await Triggers(session).retag(trigger, trigger.tags)
    return changed


async def replace(
    session: AsyncSession,
    hooks: HookKeeper,
    trigger: Trigger,
    body: TriggerBody,
    *,
    found: DestinationNames,
    by: Principal,
) -> Replaced:
    """Gives a locked trigger the configuration of a whole body: absent fields mean their default.

    Its status stays, and the same content again changes nothing. `found` are the destinations
    that `lock_named` has locked before the trigger. Raises OtherType, KeyTaken, and Invalid.
    """
    if body.type != trigger.type:
        raise OtherType
    check_may_name(by, body.destinations, known=trigger.destinations)
    wanted = configuration_in(body, ids_of(body.destinations, found))
    if means_same(trigger.details, wanted.details):  # only a patch changes how it is written
        wanted = copied(wanted, details=trigger.details)
    return await _apply(session, hooks, trigger, wanted)


async def _apply(
    session: AsyncSession, hooks: HookKeeper, trigger: Trigger, wanted: Configuration
) -> Replaced:
    """Gives a locked trigger another configuration; if it means the same, nothing is written."""
    before = configuration_of(trigger)
    changes = [*changes_between(before.as_json(), wanted.as_json())]
    if not changes:
        return Replaced(trigger, (), None)
    with refusing_taken_key(wanted.key):
        hook = await _store(session, hooks, trigger, before, wanted)
    return Replaced(trigger, changes, hook)


async def _store(
    session: AsyncSession,
    hooks: HookKeeper,
    trigger: Trigger,
    before: Configuration,
    wanted: Configuration,
) -> HookSecrets | None:
    """Stores a changed configuration.

    1. Changes the row, and plans a changed schedule again, from now on.
    2. Makes or deletes the hook, rewrites changed tags, and wakes the dispatchers.
    """
    await rewrite(session, trigger, wanted, now=await database_now(session))
    await note_rules(session, trigger)
    hook = await hooks.follow_details(session, trigger, before=before.details)
    await session.flush()
    if trigger.tags != before.tags:
        await Triggers(session).retag(trigger, before.tags)
    await announce(session, OwnedId(trigger.owner_id, trigger.id))
    return hook


async def rewrite(
    session: AsyncSession,
    trigger: Trigger,
    wanted: Configuration,
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
        await replan(session, trigger, old_schedule, now=now)


def _patched(trigger: Trigger, body: TriggerUpdate, destinations: list[int]) -> Configuration:
    """Returns the configuration with a merge patch applied to it."""
    given, before = body.model_fields_set, configuration_of(trigger)
    values: dict[str, Any] = {
        "key": body.key,
        "name": body.name,
        "tags": body.tags or [],
        "destinations": destinations,
        "payload": _merged(before.payload, body.payload),
        "on_completion": _completion_of(trigger, body),
    }
    details = _validated(trigger.type, _merged(before.details, body.details)).as_stored()
    changed = {name: value for name, value in values.items() if name in given}
    return copied(before, details=details, **changed)


def _merged(before: Any, patch: Any) -> Any:
    """Merges as RFC 7396 says, but what was read and is sent back whole stays, nulls included."""
    return before if is_same(before, patch) else merge_patch(before, patch)


def _completion_of(trigger: Trigger, body: TriggerUpdate) -> OnCompletion:
    wanted = body.on_completion or OnCompletion.KEEP
    if wanted == OnCompletion.DELETE and trigger.type == TriggerType.API:
        raise Invalid.at(["on_completion"], NEVER_COMPLETES)
    return wanted


async def replace_one(
    session: AsyncSession,
    hooks: HookKeeper,
    key: OwnedId,
    body: TriggerBody,
    *,
    by: Principal,
    check: Check,
) -> Replaced:
    """Replaces a trigger after `check` of the locked row; locks its destinations first."""
    found = await lock_named(session, key.owner_id, body.destinations)
    trigger = await get_locked(session, key)
    await check(trigger)
    return await replace(session, hooks, trigger, body, found=found, by=by)


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


def _validated(kind: str, details: dict[str, Any]) -> Details:
    model = _DETAILS_MODELS[kind]
    try:
        return model.model_validate(details)
    except ValidationError as error:
        found = [{**one, "loc": ("body", "details", *one["loc"])} for one in error.errors()]
        raise invalid_request(found, model) from None


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
