"""Reads the plans of stored triggers, of their former schedules, and of heartbeats."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from event_trigger.errors import Invalid
from event_trigger.models import ScheduleVersion, Trigger, TriggerStatus
from event_trigger.triggers.schedule.details import NOTHING_RESOLVED, Resolved
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.heartbeat import Heartbeat, heartbeat_of, is_heartbeat
from event_trigger.triggers.schedule.pings import HeartbeatState
from event_trigger.triggers.schedule.plan import Plan, plan_of, readable_plan, schedule_part


class ResolvedColumns(NamedTuple):
    """The columns with the dates of calendars and the spread's shift; None if there is none."""

    excluded_days: list[int] | None = None
    shift_seconds: int | None = None

    @property
    def resolved(self) -> Resolved:
        return Resolved.of(self.excluded_days, self.shift_seconds)


def columns_of(row: Trigger | ScheduleVersion) -> ResolvedColumns:
    return ResolvedColumns(row.excluded_days, row.shift_seconds)


def readable_plan_of(row: Trigger | ScheduleVersion) -> Plan | None:
    """Reads the plan of a row; None of a heartbeat, or if this version cannot read its details."""
    if is_heartbeat(row.details):
        return None
    return readable_plan(row.details, anchor=row.anchor_at, resolved=columns_of(row).resolved)


def plan_of_trigger(trigger: Trigger) -> Plan:
    """Reads the plan of a trigger; raises a 422 that names the place to change."""
    resolved = columns_of(trigger).resolved
    return plan_or_refuse(trigger.details, anchor=trigger.anchor_at, resolved=resolved)


def plan_or_refuse(
    details: Mapping[str, Any], *, anchor: datetime, resolved: Resolved = NOTHING_RESOLVED
) -> Plan:
    """Reads details as a plan; raises a 422 that names the place to change."""
    try:
        return plan_of(details, anchor=anchor, resolved=resolved)
    except ScheduleError as error:
        raise refusal_of(error) from None


def refusal_of(error: ScheduleError) -> Invalid:
    """Makes a 422 that names the member of the details."""
    path = ("details", error.field) if error.field else ("details",)
    return Invalid.at(path, error.message)


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
