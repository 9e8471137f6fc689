"""Reads a trigger's stored details as a plan: its schedule, its limit and its catch-up policy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from event_trigger.instants import parse_instant
from event_trigger.models.unfired_reason import UnfiredReason
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.schedules import (
    Cron,
    InstantRange,
    Schedule,
    is_recurring,
    moved,
    next_fire_at_or_after,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_CATCH_UP_WINDOW = timedelta(minutes=1440)
LONGEST_CATCH_UP_WINDOW = timedelta(days=3653)
MAX_CAUGHT_UP = 1000  # missed instants that catch_up 'all' fires for
MISSED_AFTER = timedelta(seconds=5)  # less late is on time: a busy process costs no instant
# No two instants are closer than a second, so at most so many may be due and fire.
MAX_DUE = MAX_CAUGHT_UP + MISSED_AFTER // timedelta(seconds=1) + 1


class CatchUp(StrEnum):
    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class Plan(NamedTuple):
    """A schedule, its limit of firings, and the policy for instants it missed."""

    schedule: Schedule
    max_fires: int | None = None
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window: timedelta = DEFAULT_CATCH_UP_WINDOW

    @property
    def grid(self) -> Schedule:
        """The schedule without its end."""
        return self.schedule._replace(until=None)

    @property
    def looks_back(self) -> timedelta:
        """The greatest lateness at which an instant may still fire."""
        return max(self.catch_up_window, MISSED_AFTER)

    def next_at_or_after(self, since: datetime, *, fired: int) -> datetime | None:
        """Finds the next planned instant from `since` on, after so many firings; None: no more."""
        if self.max_fires is not None and fired >= self.max_fires:
            return None
        return next_fire_at_or_after(self.schedule, since)


@dataclass(frozen=True, slots=True)
class UnfiredInstants:
    """Planned instants that have no event, and the reason."""

    instants: InstantRange
    reason: UnfiredReason


def plan_of(details: Mapping[str, Any], *, anchor: datetime) -> Plan:
    """Reads details as they are stored; raises ScheduleError if they make no schedule."""
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
        message = (
            "max_fires applies to recurring schedules only: set recurring to true, or leave"
            " max_fires out."
        )
        raise ScheduleError(message, field="max_fires")
    minutes = details.get("catch_up_window")
    return Plan(
        schedule,
        max_fires,
        CatchUp(details.get("catch_up") or CatchUp.LATEST),
        DEFAULT_CATCH_UP_WINDOW if minutes is None else timedelta(minutes=minutes),
    )


def plan_of_stored(details: str, *, anchor: datetime) -> Plan:
    """Reads details as stored JSON text, cached: many triggers differ only in their anchors."""
    plan, is_anchored = _plan_at_epoch(details)
    if not is_anchored:
        return plan
    return plan._replace(schedule=moved(plan.schedule, anchor - _EPOCH))


@lru_cache(maxsize=256)
def _plan_at_epoch(details: str) -> tuple[Plan, bool]:
    """Reads the plan of a trigger anchored at the epoch; tells whether the anchor matters."""
    read = json.loads(details)
    plan = plan_of(read, anchor=_EPOCH)
    return plan, read.get("time") is None and not isinstance(plan.schedule, Cron)


def readable_plan(details: Any, *, anchor: datetime) -> Plan | None:
    """Reads stored details; None if this version cannot read them."""
    try:
        return plan_of(details, anchor=anchor)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def readable_stored(details: str, *, anchor: datetime) -> Plan | None:
    """Reads stored JSON text as `plan_of_stored` does; None if this version cannot read it."""
    try:
        return plan_of_stored(details, anchor=anchor)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def schedule_part(details: Any) -> dict[str, Any]:
    """Returns the members of details that determine the schedule; none if they cannot be read."""
    if not isinstance(details, Mapping):
        return {}
    return {name: value for name, value in details.items() if name != "schema"}


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)
