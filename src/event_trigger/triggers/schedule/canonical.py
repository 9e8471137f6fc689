"""Writes details in one spelling, and tells whether two details mean the same."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from event_trigger.instants import parse_instant
from event_trigger.triggers.schedule.cron import read_line, split_zone
from event_trigger.triggers.schedule.details import is_local_time
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.interval import (
    counts_months,
    parse_civil_interval,
    parse_interval,
)
from event_trigger.triggers.schedule.plan import DEFAULT_CATCH_UP_WINDOW, CatchUp
from event_trigger.triggers.schedule.walls.cron import CronLine
from event_trigger.triggers.schedule.walls.rrule import plain_rule
from event_trigger.triggers.schedule.zones import iana_name, read_rules
from event_trigger.web.changes import is_same

_DEFAULTS: Mapping[str, Any] = {
    "recurring": False,
    "month_end": "last",
    "catch_up": CatchUp.LATEST,
    "catch_up_window": DEFAULT_CATCH_UP_WINDOW / timedelta(minutes=1),
}


def canonical(details: Mapping[str, Any]) -> dict[str, Any]:
    """Names zones as IANA does, and writes a zone and a local time where they belong.

    1. Moves the zone of `CRON_TZ=` to `timezone`. Where there are several zones, or something
       is wrong, the plan refuses.
    2. Writes a `time` with an offset, of which only the local time counts, as a local time: new
       rules of the zone must not move it. One whose local time comes twice, and that is the
       second, stays an instant: the local time alone would be an earlier one.
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
    """Writes an instant as the zone's local time, unless its zone is not known, or it repeats."""
    try:
        rules = read_rules(zone)
    except ScheduleError:
        return time
    local = parse_instant(time).astimezone(rules.zone)
    return time if local.fold else local.replace(tzinfo=None).isoformat()


def means_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compares stored details: 60 is PT1H, MON is 1, and a default that is written out is one."""
    return is_same(dict(_meant(one)), dict(_meant(other)))


def _meant(details: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    of_itself = any(details.get(one) is not None for one in ("cron", "rrule"))
    for name, value in details.items():
        if value is None or (name in _DEFAULTS and is_same(value, _DEFAULTS[name])):
            continue
        if of_itself and (name, value) in (("timezone", "UTC"), ("recurring", True)):
            continue
        if name == "except" and not value:
            continue
        yield name, _read(name, value)


def _read(name: str, value: Any) -> Any:
    """Reads a member whose value has several spellings; one of a later version stays as it is."""
    if (meaning := _MEANINGS.get(name)) is None:
        return value
    try:
        return meaning(value)
    except (ValueError, TypeError, AttributeError):
        return value


def _length_of(interval: Any) -> Any:
    return parse_civil_interval(interval) if counts_months(interval) else parse_interval(interval)


def _lines_of(cron: Any) -> frozenset[CronLine]:
    return frozenset(read_line(one) for one in ([cron] if isinstance(cron, str) else cron))


def _parts_of(rrule: str) -> frozenset[tuple[str, frozenset[str]]]:
    parts = (one.partition("=") for one in plain_rule(rrule).split(";"))
    return frozenset((name, frozenset(value.split(","))) for name, _, value in parts)


def _dates_of(exceptions: Any) -> list[str]:
    return sorted({json.dumps(one) for one in exceptions})


_MEANINGS: Mapping[str, Callable[[Any], Any]] = {
    "interval": _length_of,
    "spread": parse_interval,
    "grace": parse_interval,
    "cron": _lines_of,
    "rrule": _parts_of,
    "except": _dates_of,
    "time": datetime.fromisoformat,
}
