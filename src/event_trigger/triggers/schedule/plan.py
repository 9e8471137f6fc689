"""Reads a trigger's stored details as a plan: its schedule, its limit and its catch-up policy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from event_trigger.instants import just_after, just_before
from event_trigger.models.unfired_reason import UnfiredReason
from event_trigger.triggers.schedule.bases import Base, Local
from event_trigger.triggers.schedule.details import (
    NOTHING_RESOLVED,
    Resolved,
    schedule_from,
)
from event_trigger.triggers.schedule.schedules import (
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
    def grid(self) -> Base:
        """The schedule without its bounds."""
        return self.schedule.base

    @property
    def looks_back(self) -> timedelta:
        """The greatest lateness at which an instant may still fire."""
        return max(self.catch_up_window, MISSED_AFTER)

    def next_at_or_after(self, since: datetime, *, fired: int) -> datetime | None:
        """Finds the next planned instant from `since` on, after so many firings; None: no more."""
        if self.max_fires is not None and fired >= self.max_fires:
            return None
        return next_fire_at_or_after(self.schedule, since)

    def settled_at(self, now: datetime) -> datetime:
        """Returns the last instant before those that a schedule plans which begins now.

        A one-time instant that is less than 5 s past is one of them, and fires at once.
        """
        if is_recurring(self.schedule):
            return now
        at = next_fire_at_or_after(self.schedule, just_after(now - MISSED_AFTER))
        return now if at is None or at > now else just_before(at)


@dataclass(frozen=True, slots=True)
class UnfiredInstants:
    """Planned instants that have no event, and the reason."""

    instants: InstantRange
    reason: UnfiredReason


def plan_of(
    details: Mapping[str, Any], *, anchor: datetime, resolved: Resolved = NOTHING_RESOLVED
) -> Plan:
    """Reads details as they are stored; raises ScheduleError if they make no schedule."""
    schedule = schedule_from(details, anchor=anchor, resolved=resolved)
    max_fires = details.get("max_fires")
    minutes = details.get("catch_up_window")
    return Plan(
        schedule,
        max_fires,
        CatchUp(details.get("catch_up") or CatchUp.LATEST),
        DEFAULT_CATCH_UP_WINDOW if minutes is None else timedelta(minutes=minutes),
    )


def plan_of_stored(
    details: str, *, anchor: datetime, resolved: Resolved = NOTHING_RESOLVED
) -> Plan:
    """Reads details as stored JSON text, cached.

    Many triggers differ only in their anchors, and in their parts of a spread.
    """
    plan, is_anchored, is_spread = _plan_at_epoch(details, resolved.days)
    schedule = moved(plan.schedule, anchor - _EPOCH) if is_anchored else plan.schedule
    if is_spread:
        schedule = schedule._replace(shift=timedelta(seconds=resolved.shift_seconds))
    return plan if schedule is plan.schedule else plan._replace(schedule=schedule)


@lru_cache(maxsize=256)
def _plan_at_epoch(details: str, days: tuple[int, ...]) -> tuple[Plan, bool, bool]:
    """Reads the plan of a trigger anchored at the epoch; tells whether anchor and shift matter."""
    read = json.loads(details)
    plan = plan_of(read, anchor=_EPOCH, resolved=Resolved(days))
    is_anchored = read.get("time") is None and not isinstance(plan.schedule.base, Local)
    return plan, is_anchored, read.get("spread") is not None and is_recurring(plan.schedule)


def readable_plan(
    details: Any, *, anchor: datetime, resolved: Resolved = NOTHING_RESOLVED
) -> Plan | None:
    """Reads stored details; None if this version cannot read them."""
    try:
        return plan_of(details, anchor=anchor, resolved=resolved)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def readable_stored(
    details: str, *, anchor: datetime, resolved: Resolved = NOTHING_RESOLVED
) -> Plan | None:
    """Reads stored JSON text as `plan_of_stored` does; None if this version cannot read it."""
    try:
        return plan_of_stored(details, anchor=anchor, resolved=resolved)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def schedule_part(details: Any) -> dict[str, Any]:
    """Returns the members of details that determine the schedule; none if they cannot be read."""
    if not isinstance(details, Mapping):
        return {}
    return {name: value for name, value in details.items() if name not in {"schema", "hook"}}
