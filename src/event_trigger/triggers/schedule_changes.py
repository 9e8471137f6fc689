"""Ends one schedule and begins another, and records the instants that do not fire in between."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.errors import Invalid
from event_trigger.instants import just_after
from event_trigger.models import ScheduleVersion, Trigger, TriggerStatus, TriggerType, UnfiredReason
from event_trigger.triggers.schedule.cron import read_rules
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.plan import (
    Plan,
    UnfiredInstants,
    plan_of,
    readable_plan,
    schedule_part,
)
from event_trigger.triggers.schedule.schedules import Cron, range_in
from event_trigger.triggers.versions import NewUnfiredRange, ScheduleHistory
from event_trigger.triggers.zone_updates.store import ZoneStore


@dataclass(frozen=True, slots=True)
class OldSchedule:
    """A trigger's schedule before a change, and its plan, if that can be read."""

    details: dict[str, Any]
    anchor_at: datetime
    plan: Plan | None


def schedule_before(trigger: Trigger) -> OldSchedule:
    plan = readable_plan(trigger.details, anchor=trigger.anchor_at)
    return OldSchedule(schedule_part(trigger.details), trigger.anchor_at, plan)


async def replan(
    session: AsyncSession, trigger: Trigger, old: OldSchedule, *, now: datetime
) -> None:
    """Plans a trigger whose details have changed.

    1. Stops if the plan is the same: the details were only written differently.
    2. Keeps due instants due if the new plan has the same ones; else records them as unfired.
    3. Moves `anchor_at` to now if the new plan has another grid (the schedule without its end).
    4. Starts a new version, and plans its next instant unless the trigger is paused.
    """
    plan = plan_or_refuse(trigger.details, anchor=trigger.anchor_at)
    if plan == old.plan:
        return
    same_grid = old.plan is not None and plan.grid == old.plan.grid
    if same_grid and _stays_due(trigger, old.plan, plan, now=now):
        await ScheduleHistory(session).record_version(_ended_version(trigger, old))
    else:
        await end_schedule(session, trigger, old, UnfiredReason.REPLACED, now=now)
    if not same_grid:
        trigger.anchor_at = now
    trigger.version += 1
    trigger.in_force_after = trigger.settled_until
    trigger.error = None
    if trigger.status != TriggerStatus.PAUSED:
        plan_next(trigger)


def next_after_change(
    trigger: Trigger,
    details: Mapping[str, Any],
    status: TriggerStatus | None = None,
    *,
    now: datetime,
) -> datetime | None:
    """Returns the next instant after a change of details and, if given, of status.

    It is what `replan`, pausing and resuming lead to; the trigger is not changed.
    """
    is_paused = trigger.status == TriggerStatus.PAUSED
    if trigger.type != TriggerType.SCHEDULED or status == TriggerStatus.PAUSED:
        return None
    if is_paused and status is None:
        return None
    old = schedule_before(trigger).plan
    plan = plan_or_refuse(details, anchor=trigger.anchor_at)
    if plan == old and not is_paused:
        return trigger.next_fire_at
    same_grid = old is not None and plan.grid == old.grid
    settled_until = trigger.settled_until
    if is_paused or not (same_grid and _stays_due(trigger, old, plan, now=now)):
        settled_until = max(now, settled_until)
    if not same_grid:
        plan = plan_or_refuse(details, anchor=now)
    return plan.next_at_or_after(just_after(settled_until), fired=trigger.scheduled_count)


def _stays_due(trigger: Trigger, old: Plan | None, new: Plan, *, now: datetime) -> bool:
    """Tells whether instants are due that the new plan has too, under no lower `max_fires`."""
    if old is None or trigger.next_fire_at is None or trigger.next_fire_at > now:
        return False
    if new.max_fires is not None and (old.max_fires is None or new.max_fires < old.max_fires):
        return False
    due = {"since": just_after(trigger.settled_until), "until": just_after(now)}
    return range_in(old.schedule, **due) == range_in(new.schedule, **due)


async def end_schedule(
    session: AsyncSession,
    trigger: Trigger,
    old: OldSchedule,
    reason: UnfiredReason,
    *,
    now: datetime,
) -> None:
    """Ends a schedule now, or when it was completed, and records its due instants as unfired."""
    version, unfired = end(trigger, old, reason, now=now)
    history = ScheduleHistory(session)
    await history.record_unfired(trigger.shard, [] if unfired is None else [unfired])
    await history.record_version(version)


def end(
    trigger: Trigger, old: OldSchedule, reason: UnfiredReason, *, now: datetime
) -> tuple[ScheduleVersion, NewUnfiredRange | None]:
    """Settles up to now, and returns the ended schedule and its due instants to be recorded."""
    completed_at = trigger.settled_until if trigger.status == TriggerStatus.COMPLETED else None
    unfired = settle(trigger, old.plan, reason, now=now)
    return _ended_version(trigger, old, ended_at=completed_at), unfired


async def settle_due_instants(
    session: AsyncSession,
    trigger: Trigger,
    plan: Plan | None,
    reason: UnfiredReason,
    *,
    now: datetime,
) -> None:
    """Records the due instants as unfired, with `reason` or as PAUSED; settles up to now."""
    if (new := settle(trigger, plan, reason, now=now)) is not None:
        await ScheduleHistory(session).record_unfired(trigger.shard, [new])


def settle(
    trigger: Trigger, plan: Plan | None, reason: UnfiredReason, *, now: datetime
) -> NewUnfiredRange | None:
    """Settles up to now, and returns the due instants, which have to be recorded as unfired."""
    due = None
    if plan is not None and trigger.status != TriggerStatus.COMPLETED:
        since = just_after(trigger.settled_until)
        due = range_in(plan.schedule, since=since, until=just_after(now))
    trigger.settled_until = max(now, trigger.settled_until)  # a clock may have been set back
    if due is None:
        return None
    paused = trigger.status == TriggerStatus.PAUSED
    unfired = UnfiredInstants(due, UnfiredReason.PAUSED if paused else reason)
    return NewUnfiredRange(trigger.owner_id, trigger.id, trigger.version, unfired)


def _ended_version(
    trigger: Trigger, old: OldSchedule, *, ended_at: datetime | None = None
) -> ScheduleVersion:
    """Describes the old schedule; it ended at `ended_at`, or else after what was last decided."""
    return ScheduleVersion(
        shard=trigger.shard,
        trigger_id=trigger.id,
        version=trigger.version,
        owner_id=trigger.owner_id,
        details=old.details,
        anchor_at=old.anchor_at,
        starts_after=trigger.in_force_after,
        ends_at=ended_at or trigger.settled_until,
        zone_rules=None if old.plan is None else _rules_of(old.plan),
    )


def plan_next(trigger: Trigger) -> None:
    """Sets `next_fire_at` by the schedule, and `status`: without a next instant it is completed."""
    trigger.status = TriggerStatus.ACTIVE
    trigger.next_fire_at = None
    if trigger.type == TriggerType.SCHEDULED:
        plan = plan_or_refuse(trigger.details, anchor=trigger.anchor_at)
        trigger.zone_rules = _rules_of(plan)
        since = just_after(trigger.settled_until)
        trigger.next_fire_at = plan.next_at_or_after(since, fired=trigger.scheduled_count)
        if trigger.next_fire_at is None:
            trigger.status = TriggerStatus.COMPLETED


async def note_rules(session: AsyncSession, trigger: Trigger) -> None:
    """Records the rules of the trigger's zone, if the zone has none on record."""
    if trigger.zone_rules is not None:
        plan = plan_or_refuse(trigger.details, anchor=trigger.anchor_at)
        await ZoneStore(session).add_first(plan, at=trigger.updated_at)


def _rules_of(plan: Plan) -> str | None:
    """Returns the digest of the rules in force for a cron's zone; UTC has none."""
    schedule = plan.schedule
    if not isinstance(schedule, Cron) or schedule.timezone == "UTC":
        return None
    return read_rules(schedule.timezone).digest


def plan_or_refuse(details: Mapping[str, Any], *, anchor: datetime) -> Plan:
    """Reads details as a plan; raises a 422 that names the place to change."""
    try:
        return plan_of(details, anchor=anchor)
    except ScheduleError as error:
        path = ("details", error.field) if error.field else ("details",)
        raise Invalid.at(path, error.message) from None
