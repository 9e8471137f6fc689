"""Holds the part of a trigger that its user writes, and applies merge patches (RFC 7396) to it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from dataclasses import replace as copied
from typing import Any

from pydantic import ValidationError

from event_trigger.errors import Invalid
from event_trigger.models import OnCompletion, Trigger, TriggerType
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.schedule.bases import FIRST_INSTANT
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.plan import plan_of
from event_trigger.triggers.schedule.words.language import listed
from event_trigger.triggers.schemas.details import (
    ApiDetails,
    Details,
    HeartbeatDetails,
    ScheduledDetails,
)
from event_trigger.triggers.schemas.requests import NEVER_COMPLETES, TriggerBody, TriggerUpdate
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.stored_plans import refusal_of
from event_trigger.web.changes import is_same
from event_trigger.web.entity_tags import etag
from event_trigger.web.invalid_requests import invalid_request

_DETAILS_MODELS: dict[str, type[Details]] = {
    TriggerType.SCHEDULED: ScheduledDetails,
    TriggerType.API: ApiDetails,
    TriggerType.HEARTBEAT: HeartbeatDetails,
}
_OF_ELAPSED_TIME = ("interval", "time")
_OF_A_CALENDAR = ("timezone", "month_end")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The fields of a trigger that its user chooses; `destinations` are ids."""

    key: str | None
    name: str | None
    details: dict[str, Any]
    payload: dict[str, Any] | None
    tags: list[str]
    destinations: list[int]
    on_completion: OnCompletion

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def store_in(self, trigger: Trigger) -> None:
        """Sets the columns that differ; a value of the same meaning keeps its stored spelling."""
        before = configuration_of(trigger)
        for name in (one.name for one in fields(self)):
            value = getattr(self, name)
            if not is_same(value, getattr(before, name)):
                setattr(trigger, name, value)
        if trigger.on_completion == OnCompletion.KEEP:
            trigger.on_completion = None


def configuration_of(trigger: Trigger) -> Configuration:
    return Configuration(
        key=trigger.key,
        name=trigger.name,
        details=trigger.details,
        payload=trigger.payload,
        tags=trigger.tags,
        destinations=trigger.destinations,
        on_completion=OnCompletion(trigger.on_completion or OnCompletion.KEEP),
    )


def configuration_in(body: TriggerBody, destinations: Sequence[int]) -> Configuration:
    """Reads a whole body, in which absent fields mean their default."""
    return Configuration(
        key=body.key,
        name=body.name,
        details=body.details.as_stored(),
        payload=body.payload,
        tags=body.tags,
        destinations=[*destinations],
        on_completion=OnCompletion(body.on_completion or OnCompletion.KEEP),
    )


def etag_of(trigger: Trigger | TriggerRow) -> str:
    """Tags the configuration: each change by a person moves `updated_at`, and no firing does.

    The deletion of a destination only takes it from `destinations`.
    """
    return etag("trigger", trigger.id, trigger.updated_at, trigger.destinations)


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


def leftovers(
    merged: Mapping[str, Any], patch: Mapping[str, Any]
) -> tuple[list[str], ScheduleError | None]:
    """Names the stored members of a refused patch to set to null, and what is wrong besides.

    Takes away, one by one, the member that the refusal names or, if the patch has that, another
    that belongs to a kind of schedule, until the rest makes a schedule. Without a way to one, it
    stops where the patch itself is refused for another reason than at first; else it names none.
    """
    left, removed = dict(merged), list[str]()
    first: ScheduleError | None = None
    besides: tuple[list[str], ScheduleError | None] = [], None
    of_lines = patch.get("cron") is not None or patch.get("rrule") is not None
    parts = (_OF_ELAPSED_TIME, _OF_A_CALENDAR) if of_lines else (_OF_A_CALENDAR, _OF_ELAPSED_TIME)
    order = ("cron", "rrule", *parts[0], *parts[1])
    while True:
        try:
            plan_of(left, anchor=FIRST_INSTANT)
        except ScheduleError as error:
            first = first or error
            if besides[1] is None and error.field in patch and error.message != first.message:
                besides = [*removed], error
            stored = [name for name in left if name not in patch and left[name] is not None]
            others = (name for name in order if name in stored)
            name = error.field if error.field in stored else next(others, None)
            if name is None:
                return besides
            removed.append(name)
            del left[name]
        else:
            return removed, None
