"""Reads durations as people write them (`1h30m`) into those of ISO 8601 (`PT1H30M`)."""

import re

_SHORT = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_ISO = re.compile(
    r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII
)
_SECONDS = (7 * 86_400, 86_400, 3_600, 60, 1)


def iso_duration(text: str) -> str:
    """Returns the duration in ISO 8601; leaves any other text to the service, which refuses it."""
    found = _SHORT.fullmatch(text.strip())
    if found is None or not text.strip():
        return text
    weeks, days, *times = found.groups()
    if weeks and not days and not any(times):
        return f"P{weeks}W"
    whole = int(weeks or 0) * 7 + int(days or 0)
    date = f"{whole}D" if weeks or days else ""
    time = "".join(f"{one}{unit}" for one, unit in zip(times, "HMS", strict=True) if one)
    return f"P{date}T{time}" if time else f"P{date}"


def seconds_in(text: str) -> float | None:
    """Returns a duration of weeks or less in seconds; None if it is none."""
    found = _ISO.fullmatch(iso_duration(text))
    if found is None or not any(found.groups()):
        return None
    return sum(float(one) * unit for one, unit in zip(found.groups(), _SECONDS, strict=True) if one)


def counts_days(value: object) -> bool:
    """Tells whether an interval is of whole days, weeks, months or years."""
    return isinstance(value, str) and re.fullmatch(r"P[0-9YMWD.]+", iso_duration(value)) is not None
