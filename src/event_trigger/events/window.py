"""Computes the part of the log that readers may see, from the age of events."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from event_trigger.instants import just_after
from event_trigger.models import EventState

_CLOCK_SHIFT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Retention:
    """An event is active for `active_for`, then archived, and gone at the age of `keep_for`."""

    active_for: timedelta
    keep_for: timedelta

    def state_of(self, triggered_at: datetime, *, now: datetime) -> EventState:
        is_active = now - triggered_at < self.active_for
        return EventState.ACTIVE if is_active else EventState.ARCHIVED


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """The instants `[start, end)`; without an `end` the window stays open."""

    start: datetime
    end: datetime | None

    def is_over(self, now: datetime) -> bool:
        return self.end is not None and now >= self.end


def until_now(window: TimeWindow, now: datetime) -> TimeWindow:
    """Returns a window that ends soon after `now`: partitions made ahead need not be looked into.

    The clock may be shifted by a minute without hiding an event.
    """
    end = now + max(_CLOCK_SHIFT, abs(now - window.start) / 48)
    return window if window.end is not None and window.end < end else replace(window, end=end)


def latest_of(window: TimeWindow, until: datetime) -> TimeWindow:
    """Returns the part of a window from a 48th of its length before `until`."""
    end = until if window.end is None else min(until, window.end)
    return TimeWindow(max(window.start, end - abs(end - window.start) / 48), window.end)


def oldest_kept(retention: Retention, *, now: datetime) -> datetime:
    """Returns the first instant whose events are still kept."""
    return _first_younger_than(retention.keep_for, now=now)


def visible_window(
    retention: Retention,
    *,
    now: datetime,
    state: EventState | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> TimeWindow:
    """Returns the window of kept events at `now`, narrowed to `[since, until)` and to a state."""
    start, end = oldest_kept(retention, now=now), until
    active_from = _first_younger_than(retention.active_for, now=now)
    if state is EventState.ACTIVE:
        start = max(start, active_from)
    elif state is EventState.ARCHIVED:
        end = active_from if end is None else min(end, active_from)
    return TimeWindow(start if since is None else max(start, since), end)


def _first_younger_than(age: timedelta, *, now: datetime) -> datetime:
    """Returns the first instant less than `age` ago: an event as old as `age` is over the limit."""
    return just_after(now - age)
