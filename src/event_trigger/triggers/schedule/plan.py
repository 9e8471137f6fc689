"""From the stored details of a trigger to its plan: shared by editing, firing and accounting."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from event_trigger.instants import parse_instant
from event_trigger.models.unfired_reason import UnfiredReason
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.schedules import (
    Cron,
    InstantRange,
    Schedule,
    is_recurring,
    moved,
    next_fire_after,
    schedule_from,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_WINDOW = timedelta(minutes=1440)
LONGEST_WINDOW = timedelta(days=3653)
MOST_CAUGHT_UP = 1000  # missed instants that `all` looks back on
GRACE = timedelta(seconds=5)  # what is less late is not missed: a busy process costs no instant
# `all` fires those, and what is hardly late: no two instants are less than a second apart
MOST_WAITING = MOST_CAUGHT_UP + GRACE // timedelta(seconds=1) + 1


class CatchUp(StrEnum):
    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class Plan(NamedTuple):
    """A schedule, how many firings it has in all, and what becomes of instants it missed."""

    schedule: Schedule
    max_fires: int | None = None
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window: timedelta = DEFAULT_WINDOW

    @property
    def grid(self) -> Schedule:
        """The schedule as if it never ended."""
        return self.schedule._replace(until=None)

    @property
    def looks_back(self) -> timedelta:
        """How far back instants are caught up with; what is hardly late always is."""
        return max(self.catch_up_window, GRACE)

    def next_after(self, after: datetime, *, fired: int) -> datetime | None:
        """The next planned instant strictly after another, or None when there is no more."""
        if self.max_fires is not None and fired >= self.max_fires:
            return None
        return next_fire_after(self.schedule, after)


@dataclass(frozen=True, slots=True)
class Unfired:
    """Planned instants that have no event, and why."""

    stretch: InstantRange
    reason: UnfiredReason


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
    minutes = details.get("catch_up_window")
    return Plan(
        schedule,
        max_fires,
        CatchUp(details.get("catch_up") or CatchUp.LATEST),
        DEFAULT_WINDOW if minutes is None else timedelta(minutes=minutes),
    )


def plan_of_stored(details: str, *, anchor: datetime) -> Plan:
    """As `plan_of`, for JSON as it is stored: the same for many, who differ in their anchors."""
    plan, is_anchored = _read(details)
    if not is_anchored:
        return plan
    schedule, max_fires, catch_up, window = plan
    return Plan(moved(schedule, anchor - _EPOCH), max_fires, catch_up, window)


@lru_cache(maxsize=256)
def _read(details: str) -> tuple[Plan, bool]:
    """The plan of a trigger whose anchor is the epoch, and whether it depends on that."""
    read = json.loads(details)
    plan = plan_of(read, anchor=_EPOCH)
    return plan, read.get("time") is None and not isinstance(plan.schedule, Cron)


def readable_plan(details: Any, *, anchor: datetime) -> Plan | None:
    """The plan of what is stored, or None where it makes none, or can no longer be read."""
    try:
        return plan_of(details, anchor=anchor)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def readable_stored(details: str, *, anchor: datetime) -> Plan | None:
    """As `readable_plan`, for JSON as it is stored, of which many have the same."""
    try:
        return plan_of_stored(details, anchor=anchor)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def schedule_part(details: Any) -> dict[str, Any]:
    """Of a trigger's details, those that say when it fires; none if they cannot be read."""
    if not isinstance(details, Mapping):
        return {}
    return {name: value for name, value in details.items() if name != "schema"}


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)
