"""Computes when a heartbeat's ping is expected, when it is silent, and what a ping makes of it.

A heartbeat is the opposite of a schedule: it fires when something did not happen. All of this is
arithmetic on aware UTC instants, without database and clock.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from event_trigger.triggers.schedule.bases import END_OF_TIME
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.interval import (
    counts_months,
    parse_duration,
    parse_interval,
)
from event_trigger.triggers.schedule.schedules import Schedule, next_fire_at_or_after

DEFAULT_GRACE = "PT5M"
LONGEST_GRACE = timedelta(days=30)
EARLIEST = timedelta(minutes=1)  # so much before its time, or its grace, a ping may come


class HeartbeatStatus(StrEnum):
    """The state of a heartbeat at an instant."""

    WAITING = "waiting"  # for its first ping
    ALIVE = "alive"
    LATE = "late"  # past its time, and within its grace
    SILENT = "silent"
    PAUSED = "paused"


class Heartbeat(NamedTuple):
    """How often a ping is expected, and how late it may come.

    `every` is the time from one ping to the next; or else `schedule` has the instants.
    """

    grace: timedelta
    every: timedelta | None
    schedule: Schedule | None

    def expected_after(self, base: datetime) -> datetime:
        """Returns when the next ping is expected, after the last one at `base`."""
        if self.every is not None:
            return min(base + self.every, END_OF_TIME)
        assert self.schedule is not None
        following = next_fire_at_or_after(self.schedule, base + timedelta(microseconds=1))
        return END_OF_TIME if following is None else following

    def listened_from(self, base: datetime) -> datetime:
        """Returns from when on the next ping may come: a minute, or the grace, before its time."""
        return max(base, self.expected_after(base) - max(self.grace, EARLIEST))

    def deadline_after(self, base: datetime) -> datetime:
        """Returns when a heartbeat is silent, unless another ping comes until then."""
        return min(self.expected_after(base) + self.grace, END_OF_TIME)


class Outage(NamedTuple):
    """A time in which the service received nothing, both ends included."""

    began_at: datetime
    ended_at: datetime


class Silent(NamedTuple):
    """The outcome of a deadline without a ping."""

    deadline_at: datetime


class Alive(NamedTuple):
    """The outcome of an early look: a ping has moved the deadline on."""

    deadline_at: datetime


class Unjudged(NamedTuple):
    """The outcome of a deadline that says nothing, since a ping could not be received.

    The next ping is expected as if one had come at `base`, when the service ran again.
    """

    deadline_at: datetime
    outage: Outage
    base: datetime
    next_deadline_at: datetime


Judgement = Silent | Alive | Unjudged


def heartbeat_of(details: Mapping[str, Any]) -> Heartbeat:
    """Reads details; raises ScheduleError if they make no heartbeat."""
    grace = parse_duration(details.get("grace") or DEFAULT_GRACE, "grace")
    if grace > LONGEST_GRACE:
        message = "grace must be at least 1 second and at most 30 days."
        raise ScheduleError(message, field="grace")
    interval, cron, zone = (details.get(name) for name in ("interval", "cron", "timezone"))
    if (interval is None) == (cron is None):
        message = "Write either interval, the time from one ping to the next, or cron."
        raise ScheduleError(message, field=None if interval is None else "cron")
    if interval is None:
        named = {"cron": cron, "timezone": zone}
        return Heartbeat(grace, None, schedule_from(named, anchor=END_OF_TIME - timedelta(1)))
    if zone is not None:
        message = "timezone applies to cron: leave it out, since an interval is elapsed time."
        raise ScheduleError(message, field="timezone")
    if counts_months(interval):
        message = (
            "An interval of months or years has no fixed length: write it as cron, or in days."
        )
        raise ScheduleError(message, field="interval")
    return Heartbeat(grace, parse_interval(interval), None)


@lru_cache(maxsize=1024)
def heartbeat_of_stored(details: str) -> Heartbeat:
    """Reads details as stored JSON text."""
    return heartbeat_of(json.loads(details))


def is_heartbeat(details: Mapping[str, Any]) -> bool:
    """Tells whether stored details are those of a heartbeat, which alone have a grace."""
    return "grace" in details


def judge(
    heartbeat: Heartbeat, *, base: datetime, now: datetime, outages: Iterable[Outage] = ()
) -> Judgement:
    """Judges a heartbeat whose last ping was at `base`.

    1. If its deadline is yet to come, it is alive.
    2. If the service did not run for a part of the time in which the ping was to come, nothing is
       known: it may have been lost. The next one is awaited, as if one had come when the service
       ran again.
    3. Else it is silent.
    """
    deadline_at = heartbeat.deadline_after(base)
    if deadline_at > now:
        return Alive(deadline_at)
    since = heartbeat.listened_from(base)
    hits = [one for one in outages if one.began_at < deadline_at and one.ended_at > since]
    if not hits:
        return Silent(deadline_at)
    last = max(hits, key=lambda one: one.ended_at)
    again = max(base, min(last.ended_at, now))
    return Unjudged(deadline_at, last, again, heartbeat.deadline_after(again))
