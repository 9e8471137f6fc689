"""Reads heartbeats from their triggers' rows, and plans their deadlines."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from event_trigger.models import Trigger, TriggerStatus
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.heartbeat import Heartbeat, heartbeat_of
from event_trigger.triggers.schedule.pings import HeartbeatState
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.triggers.stored_plans import refusal_of


def state_of(trigger: Trigger) -> HeartbeatState:
    return HeartbeatState(
        trigger.anchor_at, trigger.last_ping_at, trigger.run_started_at, trigger.silent_since
    )


def heartbeat_or_refuse(details: Mapping[str, Any]) -> Heartbeat:
    """Reads details; raises a 422 that names the member to change."""
    try:
        return heartbeat_of(details)
    except ScheduleError as error:
        raise refusal_of(error) from None


def readable_heartbeat(details: Mapping[str, Any]) -> Heartbeat | None:
    """Reads stored details; None if this version cannot read them."""
    try:
        return heartbeat_of(details)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def plan_heartbeat(trigger: Trigger, *, now: datetime) -> None:
    """Expects a ping one full period from now, unless it is silent or waits for its first one."""
    heartbeat = heartbeat_or_refuse(trigger.details)
    state = state_of(trigger).counted_from(now)
    trigger.anchor_at, trigger.next_fire_at = state.base, state.deadline(heartbeat)


def deadline_after_change(
    trigger: Trigger,
    details: Mapping[str, Any],
    status: TriggerStatus | None,
    *,
    now: datetime,
) -> datetime | None:
    """Returns the deadline after a change of details and, if given, of status."""
    heartbeat = heartbeat_or_refuse(details)
    if (status or trigger.status) == TriggerStatus.PAUSED:
        return None
    if trigger.status == status and schedule_part(details) == schedule_part(trigger.details):
        return trigger.next_fire_at
    return state_of(trigger).counted_from(now).deadline(heartbeat)
