"""Ends one schedule and begins another, so that each planned instant stays accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.errors import Invalid
from event_trigger.models import ScheduleVersion, Trigger, TriggerStatus, TriggerType, UnfiredReason
from event_trigger.triggers.schedule.cron import read_rules
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.plan import (
    Plan,
    Unfired,
    plan_of,
    readable_plan,
    schedule_part,
)
from event_trigger.triggers.schedule.schedules import Cron, range_between
from event_trigger.triggers.versions import History, UnfiredOf
from event_trigger.triggers.zone_updates.store import ZoneStore


@dataclass(frozen=True, slots=True)
class Ending:
    """The schedule that a change may end, and its plan, if that can be read."""

    details: dict[str, Any]
    anchor_at: datetime
    plan: Plan | None


def ending_of(trigger: Trigger) -> Ending:
    plan = readable_plan(trigger.details, anchor=trigger.anchor_at)
    return Ending(schedule_part(trigger.details), trigger.anchor_at, plan)


async def replan(session: AsyncSession, trigger: Trigger, ending: Ending, *, now: datetime) -> None:
    """Another grid starts now; one that only ends elsewhere, or is only spelt anew, goes on."""
    plan = plan_or_refuse(trigger.details, anchor=trigger.anchor_at)
    if plan == ending.plan:
        return
    same_grid = ending.plan is not None and plan.grid == ending.plan.grid
    if same_grid and _stays_due(trigger, ending.plan, plan, now=now):
        await _keep(session, trigger, ending, ended_at=trigger.settled_until)
    else:
        await end(session, trigger, ending, UnfiredReason.REPLACED, now=now)
    if not same_grid:
        trigger.anchor_at = now
    trigger.version += 1
    trigger.in_force_after = trigger.settled_until
    trigger.error = None
    if trigger.status != TriggerStatus.PAUSED:
        plan_next(trigger)


def _stays_due(trigger: Trigger, old: Plan | None, new: Plan, *, now: datetime) -> bool:
    """Whether something is due by now, and all of it under the new plan as well."""
    if old is None or trigger.next_fire_at is None or trigger.next_fire_at > now:
        return False
    if new.max_fires is not None and (old.max_fires is None or new.max_fires < old.max_fires):
        return False
    span = {"after": trigger.settled_until, "until": now}
    return range_between(old.schedule, **span) == range_between(new.schedule, **span)


async def end(
    session: AsyncSession, trigger: Trigger, ending: Ending, reason: UnfiredReason, *, now: datetime
) -> None:
    """Ends a schedule now, or where it was completed."""
    completed_at = trigger.settled_until if trigger.status == TriggerStatus.COMPLETED else None
    await settle(session, trigger, ending.plan, reason, now=now)
    await _keep(session, trigger, ending, ended_at=completed_at or trigger.settled_until)


async def settle(
    session: AsyncSession,
    trigger: Trigger,
    plan: Plan | None,
    reason: UnfiredReason,
    *,
    now: datetime,
) -> None:
    """Puts on record what came due by now and will not fire."""
    if plan is not None and trigger.status != TriggerStatus.COMPLETED:
        stretch = range_between(plan.schedule, after=trigger.settled_until, until=now)
        if stretch is not None:
            paused = trigger.status == TriggerStatus.PAUSED
            unfired = Unfired(stretch, UnfiredReason.PAUSED if paused else reason)
            found = UnfiredOf(trigger.owner_id, trigger.id, trigger.version, unfired)
            await History(session).record_unfired(trigger.shard, [found])
    trigger.settled_until = max(now, trigger.settled_until)  # a clock may have been set back


async def _keep(
    session: AsyncSession, trigger: Trigger, ending: Ending, *, ended_at: datetime
) -> None:
    await History(session).record_version(
        ScheduleVersion(
            shard=trigger.shard,
            trigger_id=trigger.id,
            version=trigger.version,
            owner_id=trigger.owner_id,
            details=ending.details,
            anchor_at=ending.anchor_at,
            starts_after=trigger.in_force_after,
            ends_at=ended_at,
            zone_rules=None if ending.plan is None else _rules_of(ending.plan),
        )
    )


def plan_next(trigger: Trigger) -> None:
    """Sets what follows from the schedule: the next instant, and whether there is one at all."""
    trigger.status = TriggerStatus.ACTIVE
    trigger.next_fire_at = None
    if trigger.type == TriggerType.SCHEDULED:
        plan = plan_or_refuse(trigger.details, anchor=trigger.anchor_at)
        trigger.zone_rules = _rules_of(plan)
        trigger.next_fire_at = plan.next_after(trigger.settled_until, fired=trigger.scheduled_count)
        if trigger.next_fire_at is None:
            trigger.status = TriggerStatus.COMPLETED


async def note_rules(session: AsyncSession, trigger: Trigger) -> None:
    """Puts the rules of the trigger's zone on record, if its zone has none yet."""
    if trigger.zone_rules is not None:
        plan = plan_or_refuse(trigger.details, anchor=trigger.anchor_at)
        await ZoneStore(session).note(plan, at=trigger.updated_at)


def _rules_of(plan: Plan) -> str | None:
    """The digest of the rules in force for a cron's zone; UTC has none."""
    schedule = plan.schedule
    if not isinstance(schedule, Cron) or schedule.timezone == "UTC":
        return None
    return read_rules(schedule.timezone).digest


def plan_or_refuse(details: Mapping[str, Any], *, anchor: datetime) -> Plan:
    """The plan of details, or a 422 that names the place to change."""
    try:
        return plan_of(details, anchor=anchor)
    except ScheduleError as error:
        path = ("details", error.field) if error.field else ("details",)
        raise Invalid.at(path, error.message) from None
