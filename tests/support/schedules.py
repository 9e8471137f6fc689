"""Makes schedules and local times for tests, in few words."""

from datetime import datetime, timedelta

from event_trigger.triggers.schedule.bases import Cron, Every, Local, Once, local_times
from event_trigger.triggers.schedule.local_times import LocalTimes
from event_trigger.triggers.schedule.schedules import Schedule


def once(at: datetime) -> Schedule:
    return Schedule(Once(at))


def every(start: datetime, interval: timedelta, until: datetime | None = None) -> Schedule:
    return Schedule(Every(start, interval), until=until)


def cron(line: str, timezone: str = "UTC", until: datetime | None = None) -> Schedule:
    return Schedule(Local(Cron((line,)), timezone), until=until)


def times_of(line: str, timezone: str) -> LocalTimes:
    """Returns the instants of a cron line in a zone."""
    return local_times(Local(Cron((line,)), timezone))
