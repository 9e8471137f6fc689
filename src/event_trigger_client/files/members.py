"""Turns destinations and calendars of a file into the form that the service takes."""

from collections.abc import Callable, Mapping
from typing import Any

from event_trigger_client.files.durations import seconds_in


def destination(short: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(short)
    if isinstance(found.get("timeout"), str):
        seconds = seconds_in(found["timeout"])
        found["timeout"] = found["timeout"] if seconds is None else seconds
    return found


def calendar(short: Any, load: Callable[[str], str]) -> dict[str, Any]:
    """Writes a calendar as the service takes it; `load` reads an iCalendar file that it names."""
    if isinstance(short, list):
        return {"dates": short}
    found = dict(short)
    if "ics" in found and not found["ics"].lstrip().startswith("BEGIN:"):
        found["ics"] = load(found["ics"])
    return found
