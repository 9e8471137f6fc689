"""From the stored details of a trigger to its next instant: shared by editing and firing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from event_trigger.triggers.schedule import (
    Schedule,
    is_recurring,
    next_fire_after,
    schedule_from,
)
from event_trigger.triggers.schedule_error import ScheduleError
from event_trigger.web.schemas import parse_instant


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule and how many firings it still has, if `max_fires` limits them."""

    schedule: Schedule
    max_fires: int | None

    @property
    def grid(self) -> Schedule:
        """The schedule as if it never ended."""
        return replace(self.schedule, until=None)

    def next_after(self, after: datetime, *, fired: int) -> datetime | None:
        """The next planned instant strictly after another, or None when there is no more."""
        if self.max_fires is not None and fired >= self.max_fires:
            return None
        return next_fire_after(self.schedule, after)


def plan_of(details: Mapping[str, Any], *, anchor: datetime) -> Plan:
    """Reads details as they are stored; raises ScheduleError where they make no schedule."""
    schedule = schedule_from(
        anchor=anchor,
        time=_instant(details.get("time")),
        interval=details.get("interval"),
        recurring=details.get("recurring"),
        cron=details.get("cron"),
        timezone=details.get("timezone"),
        until=_instant(details.get("until")),
    )
    max_fires = details.get("max_fires")
    if max_fires is not None and not is_recurring(schedule):
        message = "max_fires belongs to a recurring schedule: make it recurring, or leave it out."
        raise ScheduleError(message, field="max_fires")
    return Plan(schedule, max_fires)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)
