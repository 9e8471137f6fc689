"""Checks the triggers that a plan would write, and computes when each would fire next."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from event_trigger.calendars.replanning import TooManyDays
from event_trigger.errors import FieldError, Invalid
from event_trigger.models import OnCompletion, Trigger, TriggerStatus
from event_trigger.sets.comparison import MemberKind, SetPlan, Wanted
from event_trigger.sets.members import placed, raise_all
from event_trigger.triggers.lifecycle import new_trigger
from event_trigger.triggers.references import MOST_EXCLUDED_DAYS, Resolver
from event_trigger.triggers.schedule.details import calendars_of
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


class Move(NamedTuple):
    """The next instants of a trigger before and after other dates of its calendars."""

    id: int
    key: str | None
    before: datetime | None
    after: datetime | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """A plan that can be applied, the next instants of its triggers by key, and other moves."""

    plan: SetPlan
    next_instants: Mapping[str, datetime | None]
    moves: Sequence[Move]


class StoredTriggers(NamedTuple):
    """Triggers that the plan would change, by id, and others whose calendars it would change."""

    updated: Mapping[int, Trigger]
    calendar_users: Sequence[Trigger]


def forecast(
    plan: SetPlan,
    owner_id: int,
    stored: StoredTriggers,
    resolver: Resolver,
    *,
    now: datetime,
) -> Forecast:
    """Computes the next instants of all triggers in the plan, as they would be if applied `now`.

    Triggers that would change, but are not given, are only checked. Takes up to 1 ms a trigger, so
    call it off the event loop. Raises Invalid with the places in the file.
    """
    errors: list[FieldError] = []
    finished: set[str] = set()
    next_instants: dict[str, datetime | None] = {}
    triggers = plan.of(MemberKind.TRIGGER)
    ids = {one.wanted.key: one.stored.id for one in triggers.update}
    for wanted in triggers.wanted:
        try:
            made = build_trigger(owner_id, wanted, now=now)
            resolver.plan_new([made])
        except Invalid as refused:
            errors += [placed(one, MemberKind.TRIGGER, wanted.key) for one in refused.errors]
            continue
        next_instants[wanted.key] = made.next_fire_at
        if (row_id := ids.get(wanted.key)) is None:
            if is_deleted_at_once(made):
                finished.add(wanted.key)
        elif row_id in stored.updated:
            row = stored.updated[row_id]
            next_instants[wanted.key] = _next_after(
                row, made.details, resolver, wanted.status, now=now
            )
    raise_all(errors)
    moves = tuple(_moves(stored.calendar_users, resolver, now=now))
    return Forecast(_without(plan, finished), next_instants, moves)


def _next_after(
    row: Trigger,
    details: Mapping[str, Any],
    resolver: Resolver,
    status: TriggerStatus | None = None,
    *,
    now: datetime,
) -> datetime | None:
    """Computes the next instant after a change of details, or only of the dates of calendars."""
    before = {name: one for name, one in row.details.items() if name != "except"}
    columns = resolver.columns_for(details, row, before=before)  # also other dates
    return next_after_change(row, details, columns, status, now=now)


def _moves(rows: Sequence[Trigger], resolver: Resolver, *, now: datetime) -> Iterator[Move]:
    """Gives the triggers whose next instant is another by the dates that the plan writes.

    Raises TooManyDays.
    """
    fitting = set[tuple[str, ...]]()
    for row in rows:
        keys = tuple(calendars_of(row.details))
        if keys not in fitting:
            if (
                len({day for key in keys for day in resolver.days.get(key, ())})
                > MOST_EXCLUDED_DAYS
            ):
                raise TooManyDays(row.id)
            fitting.add(keys)
        try:
            after = _next_after(row, row.details, resolver, now=now)
        except Invalid:
            continue  # this version cannot read it, and applying the plan leaves it alone
        if after != row.next_fire_at:
            yield Move(row.id, row.key, row.next_fire_at, after)


def is_deleted_at_once(made: Trigger) -> bool:
    is_over = made.status == TriggerStatus.COMPLETED
    return is_over and made.on_completion == OnCompletion.DELETE


def _without(plan: SetPlan, finished: Collection[str]) -> SetPlan:
    """Creates no trigger that would be deleted at once: it has done all that the file wants."""
    left = tuple(
        one for one in plan.create if one.kind != MemberKind.TRIGGER or one.key not in finished
    )
    return replace(plan, create=left, unchanged=plan.unchanged + len(finished))
