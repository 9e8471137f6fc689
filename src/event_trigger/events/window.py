"""Which part of the log may be seen: arithmetic on the age of events, to the microsecond."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from event_trigger.models import EventState

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Retention:
    """An event is active for `active_for`, then archived, and gone at the age of `keep_for`."""

    active_for: timedelta
    keep_for: timedelta

    def state_of(self, triggered_at: datetime, *, now: datetime) -> EventState:
        young = now - triggered_at < self.active_for
        return EventState.ACTIVE if young else EventState.ARCHIVED


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """The instants from `start`, inclusive, to `end`, exclusive; `end` None is the future."""

    start: datetime
    end: datetime | None

    def is_over(self, now: datetime) -> bool:
        return self.end is not None and now >= self.end


def latest_of(window: TimeWindow, until: datetime) -> TimeWindow:
    """The last 48th of a window, as far as `until`: what comes later than that is in it, too."""
    end = until if window.end is None else min(until, window.end)
    return TimeWindow(max(window.start, end - abs(end - window.start) / 48), window.end)


def oldest_kept(retention: Retention, *, now: datetime) -> datetime:
    """The first instant whose events are not gone yet."""
    return now - retention.keep_for + _MICROSECOND


def visible_window(
    retention: Retention,
    *,
    now: datetime,
    state: EventState | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> TimeWindow:
    """What a reader may see at `now`: younger than `keep_for`, and as the filters narrow it."""
    start = oldest_kept(retention, now=now)
    end = until
    archived_until = now - retention.active_for + _MICROSECOND
    if state is EventState.ACTIVE:
        start = max(start, archived_until)
    elif state is EventState.ARCHIVED:
        end = archived_until if end is None else min(end, archived_until)
    return TimeWindow(start if since is None else max(start, since), end)
