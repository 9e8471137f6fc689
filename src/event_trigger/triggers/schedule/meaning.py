"""Tells whether two details mean the same, although they are written differently."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from event_trigger.triggers.schedule.cron import read_line
from event_trigger.triggers.schedule.interval import (
    counts_months,
    parse_civil_interval,
    parse_interval,
)
from event_trigger.triggers.schedule.plan import DEFAULT_CATCH_UP_WINDOW, CatchUp
from event_trigger.triggers.schedule.walls.cron_line import CronLine
from event_trigger.triggers.schedule.walls.rrule import plain_rule
from event_trigger.web.changes import is_same

_DEFAULTS: Mapping[str, Any] = {
    "recurring": False,
    "month_end": "last",
    "catch_up": CatchUp.LATEST,
    "catch_up_window": DEFAULT_CATCH_UP_WINDOW / timedelta(minutes=1),
}


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
