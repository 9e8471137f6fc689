"""Reads and writes instants as RFC 3339, and steps from one instant to the next.

Intervals are half-open, `[since, until)`. Some columns and parameters are inclusive ends: one step
turns those into the bound of a half-open interval.
"""

import re
from datetime import UTC, datetime, timedelta

FIRST_YEAR, LAST_YEAR = 1970, 9000
_STEP = timedelta(microseconds=1)  # the resolution of PostgreSQL's timestamps and of datetime
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?[0-5]\d)", re.ASCII
)


def parse_instant(value: object) -> datetime:
    """Reads RFC 3339 as an aware UTC datetime, to the microsecond.

    Seconds and the colon of the offset may be left out, and letters may be small. Raises
    ValueError, in words for users, for other forms and for years outside 1970 to 9000.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError(
            "Write an instant as RFC 3339 with an offset, such as 2026-03-13T10:00:00Z"
        )
    try:
        instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("There is no such date or time") from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ValueError(f"The year must lie between {FIRST_YEAR} and {LAST_YEAR}")
    return instant


def instant_text(instant: datetime) -> str:
    """Writes an instant as RFC 3339 in UTC with `Z`, as responses do."""
    in_utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return in_utc.isoformat().removesuffix("+00:00") + "Z"


def just_after(instant: datetime) -> datetime:
    """Returns the next instant: `[…, just_after(last))` has `last` in it."""
    return instant + _STEP


def just_before(instant: datetime) -> datetime:
    """Returns the instant before: the last one of `[…, instant)`."""
    return instant - _STEP
