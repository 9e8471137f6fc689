"""Reads the plans of stored triggers and of their former schedules."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from event_trigger.errors import Invalid
from event_trigger.models import ScheduleVersion, Trigger
from event_trigger.triggers.schedule.details import NOTHING_RESOLVED, Resolved
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.heartbeat import is_heartbeat
from event_trigger.triggers.schedule.plan import Plan, plan_of, readable_plan


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
