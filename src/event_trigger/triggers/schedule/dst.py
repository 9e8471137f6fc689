"""Says in words how daylight saving moved or merged a planned instant."""

from datetime import datetime, timedelta

from event_trigger.triggers.schedule.cron import Crontab, parse_cron
from event_trigger.triggers.schedule.schedules import Cron, Schedule

_SECOND = timedelta(seconds=1)


def daylight_note(schedule: Schedule, instant: datetime) -> str | None:
    """Returns a sentence if the local time of an instant is missing or comes twice; else None."""
    if not isinstance(schedule, Cron):
        return None
    crontab = parse_cron(schedule.expression, schedule.timezone, schedule.rules)
    local = instant.astimezone(crontab.zone)
    wall = local.replace(tzinfo=None, fold=0)
    if not crontab.names(wall):
        return _note_on_gap(crontab, instant, wall)
    earlier, later = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    if earlier == later:
        return None
    when = f"{wall:%H:%M} comes twice on {wall:%Y-%m-%d}, when the clocks go back"
    return f"{when}; it fires {'each time' if crontab.at_least_hourly else 'the first time only'}."


def _note_on_gap(crontab: Crontab, instant: datetime, wall: datetime) -> str:
    """Names the local time that the clocks skipped when they went forward to `wall`."""
    gap = crontab.wall(instant - _SECOND) + _SECOND
    missing = crontab.next_wall_at_or_after(gap)
    return (
        f"{missing:%H:%M} does not exist on {missing:%Y-%m-%d}: the clocks go forward from"
        f" {gap:%H:%M} to {wall:%H:%M}, when it fires instead."
    )
