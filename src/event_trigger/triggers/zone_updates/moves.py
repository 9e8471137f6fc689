"""Finds the triggers whose plans a change of zone rules moves."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.bases import Local
from event_trigger.triggers.schedule.plan import readable_stored
from event_trigger.triggers.schedule.zone_moves import (
    MovedPlan,
    PlanProgress,
    first_difference,
    moved_plan,
    planned_by,
)
from event_trigger.triggers.schedule.zone_rules import Rules
from event_trigger.triggers.zone_updates.planned_rows import PlannedRow


class ZoneChange(NamedTuple):
    """Newer rules of a zone; `old` is None if the rules of the plans are unknown."""

    old: Rules | None
    new: Rules
    past_differs: bool


class MovedTrigger(NamedTuple):
    """A trigger whose plan moves."""

    row: PlannedRow
    change: ZoneChange
    plan: MovedPlan


def change_of(old: Rules | None, new: Rules, *, since: datetime, until: datetime) -> ZoneChange:
    """Compares the rules in `[since, until)`, the past that is kept on record."""
    if old is None:
        return ZoneChange(None, new, past_differs=False)
    difference = first_difference(old.zone, new.zone, since=since, until=until)
    return ZoneChange(old, new, past_differs=difference is not None)


def moves_of(batch: Sequence[PlannedRow], changes: Mapping[str, ZoneChange]) -> list[MovedTrigger]:
    """Finds the triggers whose plan is another by the newer rules, and not made by them already."""
    found = []
    for row in batch:
        change = changes.get(row.zone)
        if change is None or row.zone_rules == change.new.digest:
            continue
        plan = _moved_plan(row, change)
        if plan is not None:
            found.append(MovedTrigger(row, change, plan))
    return found


def _moved_plan(row: PlannedRow, change: ZoneChange) -> MovedPlan | None:
    plan = readable_stored(row.details, anchor=row.anchor_at, resolved=row.resolved)
    if plan is None or not isinstance(plan.schedule.base, Local):
        return None  # the dispatcher sets it aside when it is due
    old = None if change.old is None else planned_by(plan, change.old.digest)
    progress = PlanProgress(
        in_force_since=just_after(row.in_force_after),
        open_since=just_after(row.settled_until),
        next_fire_at=row.next_fire_at,
        fired=row.scheduled_count,
    )
    new = planned_by(plan, change.new.digest)
    return moved_plan(old, new, progress, past_differs=change.past_differs)
