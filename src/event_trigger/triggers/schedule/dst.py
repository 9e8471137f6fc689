"""Says in words how a clock change moved or merged a planned instant."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from event_trigger.triggers.schedule.bases import Local, local_times
from event_trigger.triggers.schedule.local_times import LocalTimes
from event_trigger.triggers.schedule.schedules import NO_SHIFT, Schedule
from event_trigger.triggers.schedule.words.language import length, listed

_SECOND = timedelta(seconds=1)
_MOST_NAMED = 6  # more of them are named by the first, the last and their number


def daylight_note(schedule: Schedule, instant: datetime) -> str | None:
    """Returns a sentence if local times of an instant are missing or come twice; else None."""
    if not isinstance(schedule.base, Local):
        return None
    note = _note(local_times(schedule.base), instant - schedule.shift)
    if note is None or schedule.shift == NO_SHIFT:
        return note
    return f"{note} The spread makes that {length(schedule.shift)} later."


def _note(times: LocalTimes, at: datetime) -> str | None:
    if missing := times.missing_walls(at):
        return _note_on_gap(times, at, missing)
    local = at.astimezone(times.zone)
    wall = local.replace(tzinfo=None, fold=0)
    earlier, later = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    if earlier == later:
        return None
    when = f"{wall:%H:%M} comes twice on {wall:%Y-%m-%d}, when the clocks go back"
    each = times.hourly is not None and times.hourly.names(wall)
    return f"{when}; it fires {'each time' if each else 'the first time only'}."


def _note_on_gap(times: LocalTimes, at: datetime, missing: Sequence[datetime]) -> str:
    """Names the local times that the clocks skipped, and that one instant stands for."""
    gap, wall = times.wall(at - _SECOND) + _SECOND, times.wall(at)
    several = len(missing) > 1
    named = listed(f"{one:%H:%M}" for one in missing)
    if len(missing) > _MOST_NAMED:
        count, first, last = len(missing), missing[0], missing[-1]
        named = f"The {count} local times of the schedule from {first:%H:%M} to {last:%H:%M}"
    fires = "they fire once, together" if several else "it fires instead"
    if times.all.names(wall):
        fires = f"{'they fire' if several else 'it fires'} once, together with {wall:%H:%M}"
    return (
        f"{named} {'do' if several else 'does'} not exist on {missing[0]:%Y-%m-%d}: the clocks go"
        f" forward from {gap:%H:%M} to {wall:%H:%M}, when {fires}."
    )
