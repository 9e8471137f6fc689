"""Moves a trigger's plan to newer rules of its zone, so that no local time fires twice or is lost.

A local time that fired by the old rules does not fire again by the new ones, though its instant is
another now; a local time that has not fired still does.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.bases import Local, local_times
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import latest_fire_in, next_fire_at_or_after

_DAY = timedelta(days=1)
_SAMPLED = timedelta(minutes=15)  # no two rules differ for less than that
_LONGEST_MOVE = timedelta(hours=3)  # by which unknown rules may have differed from the new ones


class PlanProgress(NamedTuple):
    """How far a trigger has come by its old plan.

    The plan is in force from `in_force_since` on, and decided on before `open_since`;
    `next_fire_at` is None while the trigger is paused.
    """

    in_force_since: datetime
    open_since: datetime
    next_fire_at: datetime | None
    fired: int


class MovedPlan(NamedTuple):
    """The new plan: it begins at `since`, perhaps earlier than the old one was decided on."""

    since: datetime
    next_fire_at: datetime | None


def planned_by(plan: Plan, digest: str) -> Plan:
    """Returns the same plan by the zone rules of that digest; it must have local times."""
    base = plan.schedule.base
    assert isinstance(base, Local)
    return plan._replace(schedule=plan.schedule._replace(base=base._replace(rules=digest)))


def first_difference(
    one: ZoneInfo, other: ZoneInfo, *, since: datetime, until: datetime
) -> datetime | None:
    """Finds, to a quarter of an hour, when in `[since, until)` two versions first disagree.

    A year takes some 40 ms.
    """
    at = since
    while at < until:
        if at.astimezone(one).utcoffset() != at.astimezone(other).utcoffset():
            return at
        at += _SAMPLED
    return None


def moved_plan(
    old: Plan | None, new: Plan, progress: PlanProgress, *, past_differs: bool
) -> MovedPlan | None:
    """Returns the plan by the new rules, or None if it has the same instants as the old one.

    `old` is None if the old rules are unknown. `past_differs` says that the rules differ in the
    time that is kept on record, so that the new ones cannot judge it.

    1. Looks for the next instant by the new rules alone: usually it is the planned one.
    2. Finds where the new plan begins, so that local times go on.
    3. Plans from there, or, for a paused trigger, moves the beginning alone.
    """
    planned = progress.next_fire_at
    unmoved = new.next_at_or_after(progress.open_since, fired=progress.fired)
    if unmoved == planned and planned is not None and not past_differs:
        return None
    since = _nearest_to_planned(new, progress) if old is None else _go_on(old, new, progress)
    if planned is None:
        since = max(since, progress.open_since)  # a pause is not caught up with
        return MovedPlan(since, None) if past_differs or since > progress.open_since else None
    following = new.next_at_or_after(since, fired=progress.fired)
    if following == planned == unmoved and not past_differs:
        return None
    return MovedPlan(since, following)


def _go_on(old: Plan, new: Plan, progress: PlanProgress) -> datetime:
    """Finds where the new plan begins: after the local time of the last decided instant.

    A line that runs at least hourly goes by real time, as it does over daylight saving.
    """
    before, after = old.schedule, new.schedule
    assert isinstance(before.base, Local)
    assert isinstance(after.base, Local)
    times = local_times(after.base)
    last = latest_fire_in(
        before,
        # no clock moves by two days
        since=max(progress.in_force_since, progress.open_since - 2 * _DAY),
        until=progress.open_since,
    )
    if times.hourly is not None or last is None:
        return progress.open_since
    wall = local_times(before.base).wall(last - before.shift)
    since = just_after(times.first_pass(wall) + after.shift)
    first = next_fire_at_or_after(after, since)
    if first is not None and first < progress.open_since:
        return since  # a local time yet to come by the old rules is past by the new ones
    return max(since, progress.open_since)


def _nearest_to_planned(new: Plan, progress: PlanProgress) -> datetime:
    """Finds where the new plan begins if only the planned instant is known: at the nearest one."""
    planned = progress.next_fire_at
    if planned is None:
        return progress.open_since
    around = (
        latest_fire_in(new.schedule, since=just_after(planned - _LONGEST_MOVE), until=planned),
        next_fire_at_or_after(new.schedule, planned),
    )
    near = [one for one in around if one is not None and abs(one - planned) <= _LONGEST_MOVE]
    return min(near, key=lambda one: abs(one - planned), default=progress.open_since)
