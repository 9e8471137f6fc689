"""Computes the instants of a plan in a window of time, with bounded work for any input."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from event_trigger.errors import FieldError, Invalid
from event_trigger.instants import just_after
from event_trigger.triggers.schedule.bases import END_OF_TIME
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import LONGEST_COUNT, count_in, instants_in


@dataclass(frozen=True, slots=True)
class PreviewWindow:
    """The time in `[since, until)`; without `until` it never ends."""

    since: datetime
    until: datetime | None

    def cut_at(self, since: datetime) -> "PreviewWindow":
        """Leaves out what is earlier: it would not fire."""
        return PreviewWindow(max(self.since, since), self.until)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The first instants in a window, and how many it has in all, if it ends."""

    instants: list[datetime]
    total: int | None


def window_of(
    *,
    now: datetime,
    after: datetime | None,
    from_: datetime | None,
    until: datetime | None,
    source: str,
) -> PreviewWindow:
    """Makes a window of `from_` or `after` (exclusive; by default now) to `until` (inclusive).

    `source` is the parameters' place in the request: `parameter` for a query, `pointer` for a body.
    """
    if after is not None and from_ is not None:
        raise _refused(source, "from", "Give 'after' (exclusive) or 'from' (inclusive), not both.")
    name, start = ("after", after) if from_ is None else ("from", from_)
    if start is not None and abs(start - now) > LONGEST_COUNT:
        raise _refused(source, name, f"'{name}' must lie within ten years of now.")
    if until is not None and until - (start or now) > LONGEST_COUNT:
        raise _refused(source, "until", "A window may span at most ten years: give an earlier end.")
    if until is not None and until < (start or now):
        detail = f"Write an instant that is not before {'now' if start is None else repr(name)}."
        raise _refused(source, "until", detail)
    since = just_after(after or now) if from_ is None else from_
    return PreviewWindow(since, None if until is None else just_after(until))


def upcoming(
    plan: Plan, window: PreviewWindow, *, count: int, now: datetime, left: int | None
) -> Upcoming:
    """Finds the first `count` instants; `left` is how many firings are left, if limited."""
    if left is not None:
        spent = count_in(plan.schedule, since=just_after(now), until=window.since)
        left = max(0, left - spent)
        count = min(count, left)
    found = instants_in(plan.schedule, since=window.since, until=window.until or END_OF_TIME)
    total = None
    if window.until is not None:
        total = count_in(plan.schedule, since=window.since, until=window.until)
        total = total if left is None else min(total, left)
    return Upcoming(list(islice(found, count)), total)


def _refused(source: str, name: str, detail: str) -> Invalid:
    place = name if source == "parameter" else f"#/{name}"
    return Invalid(detail, errors=[FieldError(source, place, detail)])
