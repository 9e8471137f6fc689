"""Gives each trigger its own constant part of a spread, and limits spreads."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from event_trigger.triggers.schedule.bases import Every
from event_trigger.triggers.schedule.details import schedule_from, spread_of
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.schedules import Schedule, instants_in
from event_trigger.triggers.schedule.words.language import length

LONGEST_SPREAD = timedelta(days=1)
_COMPARED = 100  # instants whose distances limit a spread
_COMPARED_SPAN = timedelta(days=400)  # a rare date takes long to find
_BITS = 64


def shift_seconds(spread: timedelta, *, installation: str, trigger_id: int) -> int:
    """Returns whole seconds in `[0, spread)`, by a hash of the installation and the trigger."""
    digest = hashlib.sha256(f"{installation}:{trigger_id}".encode()).digest()
    share = int.from_bytes(digest[: _BITS // 8])
    return share * int(spread.total_seconds()) >> _BITS


def check_spread(details: Mapping[str, Any], *, anchor: datetime) -> None:
    """Refuses a spread that is longer than a day, or than the distance of two instants.

    It is checked when it is written, and not when it is read. Bounds and exceptions do not count:
    they only leave instants out.
    """
    spread = spread_of(details)
    if spread is None:
        return
    base = schedule_from(details, anchor=anchor).base
    distance = _shortest_distance(Schedule(base), anchor)
    if spread > LONGEST_SPREAD:
        raise ScheduleError("spread must be at most a day.", field="spread")
    if distance is not None and spread > distance:
        message = (
            f"spread must be at most {length(distance)}, the shortest distance of two instants, so"
            " that none overtakes the next one."
        )
        raise ScheduleError(message, field="spread")


def _shortest_distance(schedule: Schedule, since: datetime) -> timedelta | None:
    """Returns the shortest distance of some instants; None if there are less than two."""
    if isinstance(schedule.base, Every):
        return schedule.base.interval
    coming = instants_in(schedule, since=since, until=since + _COMPARED_SPAN)
    return min((after - one for one, after in pairwise(islice(coming, _COMPARED))), default=None)
