"""Applies merge patches (RFC 7396) to the configuration of triggers."""

from dataclasses import replace as copied
from typing import Any

from pydantic import ValidationError

from event_trigger.errors import Invalid
from event_trigger.models import OnCompletion, Trigger, TriggerType
from event_trigger.triggers.configuration import Configuration, configuration_of
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.schedule.bases import FIRST_INSTANT
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.leftovers import leftovers
from event_trigger.triggers.schedule.plan import plan_of
from event_trigger.triggers.schedule.words.language import listed
from event_trigger.triggers.schemas.details import (
    ApiDetails,
    Details,
    HeartbeatDetails,
    ScheduledDetails,
)
from event_trigger.triggers.schemas.fields import NEVER_COMPLETES
from event_trigger.triggers.schemas.requests import TriggerUpdate
from event_trigger.triggers.stored_plans import refusal_of
from event_trigger.web.changes import is_same
from event_trigger.web.problems import invalid_request

_DETAILS_MODELS: dict[str, type[Details]] = {
    TriggerType.SCHEDULED: ScheduledDetails,
    TriggerType.API: ApiDetails,
    TriggerType.HEARTBEAT: HeartbeatDetails,
}


def details_after(trigger: Trigger, body: TriggerUpdate) -> Details:
    """Returns the details with a merge patch applied to them; raises Invalid."""
    details = _validated(trigger.type, _merged(trigger.details, body.details))
    _refuse_leftovers(details, body)
    return details


def _refuse_leftovers(details: Details, body: TriggerUpdate) -> None:
    """Refuses a patch to another kind of schedule with the members to set to null."""
    if not (isinstance(details, ScheduledDetails) and body.details):
        return
    merged = details.as_stored()
    try:
        plan_of(merged, anchor=FIRST_INSTANT)
    except ScheduleError as error:
        # as it was sent: an instant that is stored as a local time needs the zone to take away
        sent = {name: one for name, one in body.details.items() if one is not None}
        names, besides = leftovers({**merged, **sent}, body.details)
        if names:
            told = besides or error
            them = "it" if len(names) == 1 else "them"
            hint = f"This trigger has {listed(names)} from before: set {them} to null in details."
            raise refusal_of(ScheduleError(f"{hint} {told.message}", field=told.field)) from None


def patched(
    trigger: Trigger, body: TriggerUpdate, details: Details, destinations: list[int]
) -> Configuration:
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
    changed = {name: value for name, value in values.items() if name in given}
    return copied(before, details=details.as_stored(), **changed)


def _merged(before: Any, patch: Any) -> Any:
    """Merges as RFC 7396 says, but what was read and is sent back whole stays, nulls included."""
    return before if is_same(before, patch) else merge_patch(before, patch)


def _completion_of(trigger: Trigger, body: TriggerUpdate) -> OnCompletion:
    wanted = body.on_completion or OnCompletion.KEEP
    if wanted == OnCompletion.DELETE and trigger.type != TriggerType.SCHEDULED:
        raise Invalid.at(["on_completion"], NEVER_COMPLETES)
    return wanted


def _validated(kind: str, details: dict[str, Any]) -> Details:
    model = _DETAILS_MODELS[kind]
    try:
        return model.model_validate(details)
    except ValidationError as error:
        found = [{**one, "loc": ("body", "details", *one["loc"])} for one in error.errors()]
        raise invalid_request(found, model) from None
