"""Reads the plans of claimed triggers, as they are stored."""

from functools import lru_cache

import structlog

from event_trigger.instants import just_after
from event_trigger.models import TriggerType, UnfiredReason
from event_trigger.scheduling.repository import ClaimedTrigger
from event_trigger.triggers.schedule.bases import Local, plans
from event_trigger.triggers.schedule.details import Resolved
from event_trigger.triggers.schedule.excluded import Days
from event_trigger.triggers.schedule.plan import Plan, UnfiredInstants, plan_of_stored
from event_trigger.triggers.schedule.schedules import is_excepted, range_in

log = structlog.get_logger()


def due_instants(trigger: ClaimedTrigger) -> UnfiredInstants | None:
    """Returns the due instants of a failed trigger; None if there are none, or none can be read."""
    if trigger.type == TriggerType.HEARTBEAT:
        return None
    try:
        schedule = plan_of(trigger).schedule
        since, until = just_after(trigger.settled_until), just_after(trigger.now)
        due = range_in(schedule, since=since, until=until)
    except Exception:
        log.warning("schedule_unreadable", trigger_id=trigger.id)
        return None
    return None if due is None else UnfiredInstants(due, UnfiredReason.FAILED)


def is_off_plan(trigger: ClaimedTrigger) -> bool:
    """Tells whether next_fire_at is no instant of the schedule by the zone rules in force.

    It was then planned by other rules, or by a replica of the version before, which knows no
    exceptions.
    """
    if "timezone" not in trigger.details and "except" not in trigger.details:
        return False  # most details need not be parsed
    try:
        schedule = plan_of(trigger).schedule
        if is_excepted(schedule, trigger.next_fire_at):
            return True
        if not isinstance(schedule.base, Local):
            return False
        return not plans(schedule.base, trigger.next_fire_at - schedule.shift)
    except Exception:  # deciding fails too, and sets the trigger aside
        return False


def plan_of(trigger: ClaimedTrigger) -> Plan:
    days = None if trigger.excluded_days is None else _days_in(trigger.excluded_days)
    resolved = Resolved.of(days, trigger.shift_seconds)
    return plan_of_stored(trigger.details, anchor=trigger.anchor_at, resolved=resolved)


@lru_cache(maxsize=256)  # the triggers that name a calendar have the same days
def _days_in(array: str) -> Days:
    """Reads an array as PostgreSQL writes it: `{20446,20447}`."""
    inner = array.strip("{}")
    return Days(map(int, inner.split(","))) if inner else Days()
