"""Reads times and durations as people type them."""

import re
from datetime import datetime, timedelta, timezone

from event_trigger_client.cli.exits import ExitCode, Failed

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SHORT = re.compile(r"(\d{1,6})([smhdw])")


def duration(text: str, flag: str) -> timedelta:
    """Reads `90d`, `12h`, `30m`, `45s` or `2w`."""
    found = _SHORT.fullmatch(text.strip())
    if found is None:
        raise Failed(
            f"{flag}: {text!r} is no duration. Write one such as 90d or 12h.", ExitCode.USAGE
        )
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def instant(text: str | None) -> str | None:
    """Reads `2h` as the time two hours ago; what is no duration is left for the service to read."""
    if text is None or _SHORT.fullmatch(text.strip()) is None:
        return text
    at = datetime.now(timezone.utc) - duration(text, "")
    return at.isoformat()
