"""Which instants a plan has in a window: arithmetic, with bounded work for any input."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from event_trigger.errors import FieldError, Invalid
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import (
    LAST_INSTANT,
    LONGEST_COUNT,
    count_between,
    instants_between,
)

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PreviewWindow:
    """The instants in `(after, until]`; `until` None is the end of time."""

    after: datetime
    until: datetime | None


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
    """Reads what was asked for; `source` says whether in a query (`parameter`) or a body."""
    if after is not None and from_ is not None:
        raise _refused(source, "from", "Give 'after' (exclusive) or 'from' (inclusive), not both.")
    start = after if from_ is None else from_ - _MICROSECOND
    name = "after" if from_ is None else "from"
    if start is not None and abs(start - now) > LONGEST_COUNT:
        raise _refused(source, name, f"'{name}' must lie within ten years of now.")
    window = PreviewWindow(start or now, until)
    if until is not None and until - window.after > LONGEST_COUNT:
        raise _refused(source, "until", "A window may span ten years at the most.")
    return window


def upcoming(
    plan: Plan, window: PreviewWindow, *, count: int, now: datetime, left: int | None
) -> Upcoming:
    """The first `count` instants; `left` is how many firings are left from now on, if limited."""
    if left is not None:
        left = max(0, left - count_between(plan.schedule, after=now, until=window.after))
        count = min(count, left)
    found = instants_between(plan.schedule, after=window.after, until=window.until or LAST_INSTANT)
    total = None
    if window.until is not None:
        total = count_between(plan.schedule, after=window.after, until=window.until)
        total = total if left is None else min(total, left)
    return Upcoming(list(islice(found, count)), total)


def _refused(source: str, name: str, detail: str) -> Invalid:
    place = name if source == "parameter" else f"#/{name}"
    return Invalid(detail, errors=[FieldError(source, place, detail)])
