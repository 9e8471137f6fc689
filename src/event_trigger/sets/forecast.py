"""Checks the triggers that a plan would write, and computes when each would fire next."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from event_trigger.errors import FieldError, Invalid
from event_trigger.models import OnCompletion, Trigger, TriggerStatus
from event_trigger.sets.comparison import MemberKind, SetPlan, Wanted
from event_trigger.sets.members import placed, raise_all
from event_trigger.triggers.lifecycle import new_trigger
from event_trigger.triggers.resolving import Resolver
from event_trigger.triggers.schedule_changes import next_after_change


def build_trigger(
    owner_id: int, wanted: Wanted, *, now: datetime, is_checked: bool = False
) -> Trigger:
    """Makes the row of a new trigger, without its set and its destinations.

    Raises Invalid for a payload, unless it `is_checked`.
    """
    trigger = new_trigger(owner_id, wanted.body, now=now, is_checked=is_checked)
    if wanted.status == TriggerStatus.PAUSED and trigger.status == TriggerStatus.ACTIVE:
        trigger.status, trigger.next_fire_at = TriggerStatus.PAUSED, None
    return trigger


@dataclass(frozen=True, slots=True)
class Forecast:
    """A plan that can be applied, and the next instants of its triggers by key."""

    plan: SetPlan
    next_instants: Mapping[str, datetime | None]


def forecast(
    plan: SetPlan,
    owner_id: int,
    updated: Mapping[int, Trigger],
    resolver: Resolver,
    *,
    now: datetime,
) -> Forecast:
    """Computes the next instants of all triggers in the plan, as they would be if applied `now`.

    `updated` are the triggers that would change, by id; without them, they are only checked. Takes
    up to 1 ms a trigger, so call it off the event loop. Raises Invalid with the places in the file.
    """
    errors: list[FieldError] = []
    finished: set[str] = set()
    next_instants: dict[str, datetime | None] = {}
    triggers = plan.of(MemberKind.TRIGGER)
    stored = {one.wanted.key: one.stored.id for one in triggers.update}
    for wanted in triggers.wanted:
        try:
            made = build_trigger(owner_id, wanted, now=now)
            resolver.plan_new([made])
        except Invalid as refused:
            errors += [placed(one, MemberKind.TRIGGER, wanted.key) for one in refused.errors]
            continue
        next_instants[wanted.key] = made.next_fire_at
        if (row_id := stored.get(wanted.key)) is None:
            if is_deleted_at_once(made):
                finished.add(wanted.key)
        elif row_id in updated:
            row = updated[row_id]
            before = {name: one for name, one in row.details.items() if name != "except"}
            columns = resolver.columns_for(made.details, row, before=before)  # also other dates
            next_instants[wanted.key] = next_after_change(
                row, made.details, columns, wanted.status, now=now
            )
    raise_all(errors)
    return Forecast(_without(plan, finished), next_instants)


def is_deleted_at_once(made: Trigger) -> bool:
    is_over = made.status == TriggerStatus.COMPLETED
    return is_over and made.on_completion == OnCompletion.DELETE


def _without(plan: SetPlan, finished: Collection[str]) -> SetPlan:
    """Creates no trigger that would be deleted at once: it has done all that the file wants."""
    left = tuple(
        one for one in plan.create if one.kind != MemberKind.TRIGGER or one.key not in finished
    )
    return replace(plan, create=left, unchanged=plan.unchanged + len(finished))
