"""Reads and writes instants as RFC 3339, to the microsecond."""

import re
from datetime import UTC, datetime

FIRST_YEAR, LAST_YEAR = 1970, 9000
_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def parse_instant(value: object) -> datetime:
    """Reads an RFC 3339 instant, to the microsecond, as aware UTC between 1970 and 9000."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError(
            "write an instant as RFC 3339 with an offset, such as 2026-03-13T10:00:00Z"
        )
    try:
        instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such date or time") from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ValueError(f"the year must lie between {FIRST_YEAR} and {LAST_YEAR}")
    return instant


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`, as answers have it."""
    return instant.isoformat().replace("+00:00", "Z")
