"""From the stored details of a trigger to its next instant: shared by editing and firing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from event_trigger.triggers.schedule import Schedule, next_fire_after, schedule_from
from event_trigger.web.schemas import parse_instant


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule and how many firings it still has, if `max_fires` limits them."""

    schedule: Schedule
    max_fires: int | None

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
        recurring=details.get("recurring", False),
        cron=details.get("cron"),
        timezone=details.get("timezone"),
        until=_instant(details.get("until")),
    )
    return Plan(schedule, details.get("max_fires"))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)
