"""What a change of the clocks does to a planned instant, in words (the contract's rules)."""

from datetime import datetime, timedelta

from event_trigger.triggers.schedule.cron import Crontab, parse_cron
from event_trigger.triggers.schedule.schedules import Cron, Schedule

_MICROSECOND = timedelta(microseconds=1)


def daylight_note(schedule: Schedule, instant: datetime) -> str | None:
    """Says so where daylight saving moved an instant, or made it one of two; else None."""
    if not isinstance(schedule, Cron):
        return None
    crontab = parse_cron(schedule.expression, schedule.timezone, schedule.rules)
    local = instant.astimezone(crontab.zone)
    wall = local.replace(tzinfo=None, fold=0)
    if not crontab.shows(wall):
        return _moved(crontab, instant, wall)
    earlier, later = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    if earlier == later:
        return None
    when = f"{wall:%H:%M} comes twice on {wall:%Y-%m-%d}, when the clocks go back"
    return f"{when}; it fires {'each time' if crontab.at_least_hourly else 'the first time only'}."


def _moved(crontab: Crontab, instant: datetime, wall: datetime) -> str:
    """The clocks went forward to `wall`, over the time at which it would have fired."""
    before = (instant - _MICROSECOND).astimezone(crontab.zone).replace(tzinfo=None, fold=0)
    from_ = before + _MICROSECOND
    missing = crontab.next_wall_after(from_ - _MICROSECOND)
    return (
        f"{missing:%H:%M} does not exist on {missing:%Y-%m-%d}: the clocks go forward from"
        f" {from_:%H:%M} to {wall:%H:%M}, when it fires instead."
    )
