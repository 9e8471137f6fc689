"""Turns the short form of triggers into the one that the service takes, and back."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from event_trigger_client.files.durations import counts_days, iso_duration, seconds_in

Fields = dict[str, Any]

_COMMON = ("name", "tags", "destinations", "payload", "status", "on_completion")
_SCHEDULE = (
    *("cron", "time", "interval", "rrule", "timezone", "month_end", "from", "until"),
    *("max_fires", "except", "spread", "catch_up", "catch_up_window"),
)
_HAS_OFFSET = re.compile(r"([zZ]|[+-]\d\d:?\d\d)$")
_OWN_ZONE = re.compile(r"\s*(CRON_)?TZ=")
_RECURRING = ("cron", "rrule", "every")


def expanded(
    short: Mapping[str, Any], defaults: Mapping[str, Any], load: Callable[[str], Any]
) -> Fields:
    """Writes a trigger as the service takes it; `load` reads a JSON file that it names."""
    common = {name: short[name] for name in _COMMON if name in short}
    for name in ("tags", "destinations"):
        if name in defaults:
            common.setdefault(name, defaults[name])
    if "heartbeat" in short:
        return {"type": "heartbeat", "details": _heartbeat(short["heartbeat"], defaults), **common}
    details: Fields = {}
    if "schema" in short:
        given = short["schema"]
        details["schema"] = load(given) if isinstance(given, str) else given
    if "hook" in short or short.get("type") == "api":
        if "hook" in short:
            details["hook"] = _hook(short["hook"])
        return {"type": "api", "details": details, **common}
    if "on_completion" in defaults:
        common.setdefault("on_completion", defaults["on_completion"])
    return {"type": "scheduled", "details": details | _schedule(short, defaults), **common}


def _schedule(short: Mapping[str, Any], defaults: Mapping[str, Any]) -> Fields:
    found = {name: short[name] for name in _SCHEDULE if name in short}
    if "every" in short:
        found |= {"interval": short["every"], "recurring": True}
    fitting = ["catch_up", "catch_up_window"]
    fitting += ["except", "spread"] if any(one in short for one in _RECURRING) else []
    fitting += ["timezone"] if _has_local_times(found) else []
    found = {name: defaults[name] for name in fitting if name in defaults} | found
    if isinstance(found.get("interval"), str):
        found["interval"] = iso_duration(found["interval"])
    if "spread" in found:
        found["spread"] = _iso(found["spread"])
    if isinstance(found.get("catch_up_window"), str):
        seconds = seconds_in(found["catch_up_window"])
        if seconds is not None:
            found["catch_up_window"] = _whole(seconds / 60)
    return found


def _has_local_times(schedule: Mapping[str, Any]) -> bool:
    """Tells whether a schedule may have a zone, and has none of its own."""
    if "cron" in schedule:
        lines = schedule["cron"] if isinstance(schedule["cron"], list) else [schedule["cron"]]
        return not any(_OWN_ZONE.match(one) for one in lines)
    if "rrule" in schedule:
        return True
    if "time" not in schedule:
        return False
    if schedule.get("recurring"):
        return counts_days(schedule["interval"])
    return not _HAS_OFFSET.search(schedule["time"])


def _heartbeat(short: Any, defaults: Mapping[str, Any]) -> Fields:
    if not isinstance(short, dict):
        short = {"every": short}
    found = {name: short[name] for name in ("cron", "timezone", "grace") if name in short}
    if "every" in short:
        every = short["every"]
        found["interval"] = iso_duration(every) if isinstance(every, str) else every
    if "timezone" in defaults and "cron" in found and _has_local_times(found):
        found.setdefault("timezone", defaults["timezone"])
    if "grace" in found:
        found["grace"] = _iso(found["grace"])
    if "hook" in short:
        found["hook"] = _hook(short["hook"])
    return found


def _hook(short: Any) -> Any:
    return {"verify": short} if isinstance(short, str) else short


def _iso(value: Any) -> Any:
    """Writes minutes as a duration, which these fields only take."""
    if isinstance(value, str):
        return iso_duration(value)
    seconds = _whole(value * 60)
    return f"PT{seconds}S"


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def shortened(sent: Mapping[str, Any]) -> Fields:
    """Writes a trigger as a file has it; `expanded` gives the same again."""
    details = dict(sent.get("details", {}))
    common = {name: sent[name] for name in _COMMON if name in sent}
    if sent["type"] == "heartbeat":
        every = {"every": details.pop("interval")} if "interval" in details else {}
        return {"heartbeat": every | _with_short_hook(details)} | common
    if sent["type"] == "api":
        kind = {} if "hook" in details else {"type": "api"}
        return kind | _with_short_hook(details) | common
    is_recurring = details.pop("recurring", False)
    if is_recurring and "interval" in details:
        details = {"every": details.pop("interval")} | details
    return details | common


def _with_short_hook(details: Fields) -> Fields:
    hook = details.get("hook")
    if isinstance(hook, dict) and hook.keys() == {"verify"}:
        details = details | {"hook": hook["verify"]}
    return details
