"""Ends one schedule and begins another, and records the instants that do not fire in between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.instants import just_after, just_before
from event_trigger.models import ScheduleVersion, Trigger, TriggerStatus, TriggerType, UnfiredReason
from event_trigger.triggers.schedule.bases import Local
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.plan import Plan, UnfiredInstants, schedule_part
from event_trigger.triggers.schedule.schedules import (
    InstantRange,
    next_fire_at_or_after,
    range_in,
)
from event_trigger.triggers.schedule.spread import check_spread
from event_trigger.triggers.schedule.zones import read_rules
from event_trigger.triggers.stored_plans import (
    ResolvedColumns,
    columns_of,
    deadline_after_change,
    heartbeat_or_refuse,
    plan_heartbeat,
    plan_of_trigger,
    plan_or_refuse,
    readable_plan_of,
    refusal_of,
)
from event_trigger.triggers.versions import NewUnfiredRange, ScheduleHistory, UnfiredRanges
from event_trigger.triggers.zone_updates.store import ZoneStore


@dataclass(frozen=True, slots=True)
class OldSchedule:
    """A trigger's schedule before a change, and its plan, if that can be read."""

    details: dict[str, Any]
    anchor_at: datetime
    columns: ResolvedColumns
    plan: Plan | None


class EndedSchedule(NamedTuple):
    """A schedule that has ended, and the due instants that it leaves unfired, to be recorded."""

    version: ScheduleVersion
    unfired: NewUnfiredRange | None


def schedule_before(trigger: Trigger) -> OldSchedule:
    details, columns = schedule_part(trigger.details), columns_of(trigger)
    return OldSchedule(details, trigger.anchor_at, columns, readable_plan_of(trigger))


def check_schedule(details: Mapping[str, Any], *, anchor: datetime) -> None:
    """Refuses what only new details must not have; raises Invalid."""
    try:
        check_spread(details, anchor=anchor)
    except ScheduleError as error:
        raise refusal_of(error) from None


async def replan(
    session: AsyncSession, trigger: Trigger, old: OldSchedule, *, now: datetime
) -> None:
    """Plans a trigger whose details have changed, and records the schedule that ends."""
    ended = renew_schedule(trigger, old, now=now)
    if ended is not None:
        await record_ended(session, trigger.shard, [ended])
        trigger.error = None


def renew_schedule(trigger: Trigger, old: OldSchedule, *, now: datetime) -> EndedSchedule | None:
    """Plans a trigger whose details, or dates of calendars, have changed; None if not at all.

    1. Stops if the plan is the same: the details were only written differently.
    2. Keeps due instants due if the new plan has the same ones, and from the first on that it has,
       too, if only excluded dates have changed: from there the new plan decides. The others go
       unfired, up to now, or up to a new one-time instant that is less than 5 s past and fires.
    3. Moves `anchor_at` to now if the new plan has another grid (the schedule without its end).
    4. Starts a new version, and plans its next instant unless the trigger is paused.
    """
    plan = plan_of_trigger(trigger)
    if plan == old.plan:
        return None
    same_grid = old.plan is not None and plan.grid == old.plan.grid
    until = _unfired_until(trigger, old.plan, plan, now=now)
    if until is None:
        ended = EndedSchedule(_ended_version(trigger, old), None)
    else:
        ended = EndedSchedule(*end(trigger, old, UnfiredReason.REPLACED, now=until))
    if not same_grid:
        trigger.anchor_at = now
    trigger.version += 1
    trigger.in_force_after = trigger.settled_until
    if trigger.status != TriggerStatus.PAUSED:
        plan_next(trigger)
    return ended


async def record_ended(session: AsyncSession, shard: int, ended: Sequence[EndedSchedule]) -> None:
    """Records schedules that have ended, and their due instants as unfired."""
    unfired = [one.unfired for one in ended if one.unfired is not None]
    await UnfiredRanges(session).record(shard, unfired)
    await ScheduleHistory(session).record_version(*(one.version for one in ended))


def next_after_change(
    trigger: Trigger,
    details: Mapping[str, Any],
    columns: ResolvedColumns,
    status: TriggerStatus | None = None,
    *,
    now: datetime,
) -> datetime | None:
    """Returns the next instant after a change of details and, if given, of status.

    `columns` are those of the changed details.

    It is what `replan`, pausing and resuming lead to; the trigger is not changed.
    """
    is_paused = trigger.status == TriggerStatus.PAUSED
    if trigger.type == TriggerType.HEARTBEAT:
        return deadline_after_change(trigger, details, status, now=now)
    if trigger.type != TriggerType.SCHEDULED or status == TriggerStatus.PAUSED:
        return None
    if is_paused and status is None:
        return None
    old = schedule_before(trigger).plan
    resolved = columns.resolved
    plan = plan_or_refuse(details, anchor=trigger.anchor_at, resolved=resolved)
    if plan == old and not is_paused:
        return trigger.next_fire_at
    until = _unfired_until(trigger, old, plan, now=now)
    settled_until = max(until or trigger.settled_until, trigger.settled_until)
    if old is None or plan.grid != old.grid:
        plan = plan_or_refuse(details, anchor=now, resolved=resolved)
    return plan.next_at_or_after(just_after(settled_until), fired=trigger.scheduled_count)


def _unfired_until(
    trigger: Trigger, old: Plan | None, new: Plan, *, now: datetime
) -> datetime | None:
    """Returns up to when due instants of the old plan go unfired; None if they stay due."""
    if old is None or new.grid != old.grid:
        return new.settled_at(now)
    if _stays_due(trigger, old, new, now=now):
        return None
    common = _first_due_in_both(trigger, old, new, now=now)
    return now if common is None else just_before(common)


def _first_due_in_both(trigger: Trigger, old: Plan, new: Plan, *, now: datetime) -> datetime | None:
    """Finds the first due instant that both plans have, if they differ in excluded dates only."""
    days = new.schedule.excluded
    if trigger.next_fire_at is None or trigger.next_fire_at > now:
        return None
    if new != old._replace(schedule=old.schedule._replace(excluded=days)):
        return None
    both = new.schedule._replace(excluded=tuple(sorted({*days, *old.schedule.excluded})))
    first = next_fire_at_or_after(both, just_after(trigger.settled_until))
    return first if first is not None and first <= now else None


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
    ended = EndedSchedule(*end(trigger, old, reason, now=now))
    await record_ended(session, trigger.shard, [ended])


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
) -> InstantRange | None:
    """Records the due instants as unfired, with `reason` or as PAUSED; settles up to now.

    Returns them, if there are any.
    """
    if (new := settle(trigger, plan, reason, now=now)) is None:
        return None
    await UnfiredRanges(session).record(trigger.shard, [new])
    return new.unfired.instants


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
        zone_rules=None if old.plan is None else rules_of(old.plan),
        excluded_days=old.columns.excluded_days,
        shift_seconds=old.columns.shift_seconds,
    )


def begin_schedule(trigger: Trigger, *, now: datetime) -> None:
    """Plans a new trigger, whose schedule begins now."""
    if trigger.type == TriggerType.HEARTBEAT:
        heartbeat_or_refuse(trigger.details)
    if trigger.type == TriggerType.SCHEDULED:
        plan = plan_of_trigger(trigger)
        trigger.settled_until = trigger.in_force_after = plan.settled_at(now)
        _plan_next_by(plan, trigger)


def plan_next(trigger: Trigger) -> None:
    """Sets `next_fire_at` by the schedule, and `status`: without a next instant it is completed."""
    trigger.status = TriggerStatus.ACTIVE
    trigger.next_fire_at = None
    if trigger.type == TriggerType.HEARTBEAT:
        plan_heartbeat(trigger, now=trigger.settled_until)
    if trigger.type == TriggerType.SCHEDULED:
        _plan_next_by(plan_of_trigger(trigger), trigger)


def _plan_next_by(plan: Plan, trigger: Trigger) -> None:
    trigger.zone_rules = rules_of(plan)
    since = just_after(trigger.settled_until)
    trigger.next_fire_at = plan.next_at_or_after(since, fired=trigger.scheduled_count)
    is_over = trigger.next_fire_at is None
    trigger.status = TriggerStatus.COMPLETED if is_over else TriggerStatus.ACTIVE


async def note_rules(session: AsyncSession, trigger: Trigger) -> None:
    """Records the rules of the trigger's zone, if the zone has none on record."""
    if trigger.type == TriggerType.HEARTBEAT:
        schedule = heartbeat_or_refuse(trigger.details).schedule
        if schedule is not None and rules_of(Plan(schedule)) is not None:
            await ZoneStore(session).add_first(Plan(schedule), at=trigger.updated_at)
    if trigger.zone_rules is not None:
        plan = plan_of_trigger(trigger)
        await ZoneStore(session).add_first(plan, at=trigger.updated_at)


def rules_of(plan: Plan) -> str | None:
    """Returns the digest of the rules in force for the zone of local times; UTC has none."""
    base = plan.schedule.base
    if not isinstance(base, Local) or base.timezone == "UTC":
        return None
    return read_rules(base.timezone).digest
