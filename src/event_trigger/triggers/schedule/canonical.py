"""Writes details in one spelling, in which they are stored and compared."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from event_trigger.instants import parse_instant
from event_trigger.triggers.schedule.cron import read_line, split_zone
from event_trigger.triggers.schedule.details import is_local_time
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.zones import iana_name, read_rules


def canonical(details: Mapping[str, Any]) -> dict[str, Any]:
    """Names zones as IANA does, and writes a zone and a local time where they belong.

    1. Moves the zone of `CRON_TZ=` to `timezone`. Where there are several zones, or something
       is wrong, the plan refuses.
    2. Writes a `time` with an offset, of which only the local time counts, as a local time: new
       rules of the zone must not move it.
    """
    stored = dict(details)
    zone = None if stored.get("timezone") is None else iana_name(stored["timezone"])
    cron = stored.get("cron")
    if cron is not None:
        lines, zones = _split([cron] if isinstance(cron, str) else cron)
        found = {*zones} if zone is None else {zone, *zones}
        if zones and len(found) == 1 and _are_right(lines, *found):
            stored["cron"] = lines[0] if isinstance(cron, str) else lines
            zone = found.pop()
    if zone is None:
        return stored
    stored["timezone"] = zone
    is_wall = stored.get("rrule") is not None or stored.get("recurring") is True
    if is_wall and stored.get("time") is not None and not is_local_time(stored["time"]):
        stored["time"] = _local(stored["time"], zone)
    return stored


def _split(lines: list[str]) -> tuple[list[str], list[str]]:
    parts = [split_zone(one) for one in lines]
    return [line for line, _ in parts], [iana_name(zone) for _, zone in parts if zone is not None]


def _are_right(lines: list[str], zone: str) -> bool:
    """Tells whether lines and their zone may be parted; of wrong ones, the refusal speaks whole."""
    try:
        read_rules(zone)
        for one in lines:
            read_line(one)
    except ScheduleError:
        return False
    return True


def _local(time: str, zone: str) -> str:
    """Writes an instant as the zone's local time; leaves it alone in a zone that is not known."""
    try:
        rules = read_rules(zone)
    except ScheduleError:
        return time
    instant: datetime = parse_instant(time)
    return instant.astimezone(rules.zone).replace(tzinfo=None).isoformat()
