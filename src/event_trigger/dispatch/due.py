"""What a trigger that has become due should do: arithmetic on its plan and the database's time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from event_trigger.triggers.planning import Plan
from event_trigger.triggers.schedule import latest_fire_between

CATCH_UP_WINDOW = timedelta(minutes=1440)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Due:
    """The instant to fire for, if any, and the next planned one; None means it is completed."""

    scheduled_for: datetime | None
    next_fire_at: datetime | None


def due(plan: Plan, *, planned: datetime, now: datetime, fired: int) -> Due:
    """Catches up with the newest missed instant only, unless it lies beyond the window.

    `planned` is the stored `next_fire_at`, at most `now`; `fired` counts scheduled firings so far.
    """
    newest = latest_fire_between(plan.schedule, after=planned - _MICROSECOND, until=now) or planned
    fires = now - newest <= CATCH_UP_WINDOW
    return Due(
        scheduled_for=newest if fires else None,
        next_fire_at=plan.next_after(newest, fired=fired + fires),
    )
