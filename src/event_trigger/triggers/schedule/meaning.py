"""Tells whether two details mean the same, although they are written differently."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from event_trigger.triggers.schedule.interval import parse_interval
from event_trigger.triggers.schedule.plan import DEFAULT_CATCH_UP_WINDOW, CatchUp
from event_trigger.web.changes import is_same

_DEFAULTS: Mapping[str, Any] = {
    "recurring": False,
    "catch_up": CatchUp.LATEST,
    "catch_up_window": DEFAULT_CATCH_UP_WINDOW / timedelta(minutes=1),
}


def means_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compares stored details: 60 is PT1H, and a default that is written out is the default."""
    return is_same(dict(_meant(one)), dict(_meant(other)))


def _meant(details: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in details.items():
        if value is None or (name in _DEFAULTS and is_same(value, _DEFAULTS[name])):
            continue
        if name == "timezone" and value == "UTC" and "cron" in details:
            continue
        yield name, _length_of(value) if name == "interval" else value


def _length_of(interval: Any) -> Any:
    """Reads an interval; one that a later version has stored is left as it is."""
    try:
        return parse_interval(interval)
    except (ValueError, TypeError):
        return interval
