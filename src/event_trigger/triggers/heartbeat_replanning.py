"""Plans again the heartbeats whose schedule or grace has changed, and records the former one."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import Trigger, TriggerStatus, UnfiredReason
from event_trigger.triggers.heartbeats import heartbeat_or_refuse
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.triggers.schedule_changes import OldSchedule, end_schedule, plan_next


async def replan_heartbeat(
    session: AsyncSession, trigger: Trigger, old: OldSchedule, *, now: datetime
) -> None:
    """Gives a heartbeat whose schedule or grace has changed a full period from now."""
    heartbeat_or_refuse(trigger.details)
    if schedule_part(trigger.details) == old.details:
        return
    await end_schedule(session, trigger, old, UnfiredReason.REPLACED, now=now)
    trigger.version += 1
    trigger.in_force_after = trigger.settled_until
    trigger.error = None
    if trigger.status != TriggerStatus.PAUSED:
        plan_next(trigger)
