"""Reads durations as people and other systems spell them, to say how they are written here."""

import re

_UNITS = {
    **dict.fromkeys(("W", "WEEK", "WEEKS"), "W"),
    **dict.fromkeys(("D", "DAY", "DAYS"), "D"),
    **dict.fromkeys(("H", "HR", "HRS", "HOUR", "HOURS"), "H"),
    **dict.fromkeys(("M", "MIN", "MINS", "MINUTE", "MINUTES"), "M"),
    **dict.fromkeys(("S", "SEC", "SECS", "SECOND", "SECONDS"), "S"),
}
_PART = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)?\s*([A-Z]{1,7})\b|\s*([0-9]{1,6})([WDHMS])")
_CLOCK = re.compile(r"([0-9]{1,3}):([0-5][0-9])(?::([0-5][0-9]))?")
_MAX_CHARACTERS = 40


def iso_duration(text: str) -> str | None:
    """Writes "1h30m", "every 5 minutes" or "00:05:00" as ISO 8601; None if it is none of them."""
    text = text[:_MAX_CHARACTERS].upper().strip().removeprefix("EVERY").strip()
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(one or 0) for one in clock.groups())
        return _joined({"H": str(hours), "M": str(minutes), "S": str(seconds)})
    counts: dict[str, str] = {}
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        unit = None if part is None else _UNITS.get(part[2] or part[4])
        if part is None or unit is None or unit in counts:
            return None
        counts[unit] = part[1] or part[3] or "1"
        position = part.end()
    return _joined(counts)


def _joined(counts: dict[str, str]) -> str | None:
    """Joins counts of units in their order, without zeros; None if none is left."""
    left = {unit: number for unit, number in counts.items() if float(number)}
    if not left or ("W" in left and len(left) > 1):
        return None
    days = "".join(f"{left[one]}{one}" for one in "WD" if one in left)
    times = "".join(f"{left[one]}{one}" for one in "HMS" if one in left)
    return f"P{days}{f'T{times}' if times else ''}"
