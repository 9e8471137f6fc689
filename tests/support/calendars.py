"""Makes calendars over HTTP, and iCalendar files."""

from datetime import date, timedelta
from typing import Any

import httpx


def ics_file(*events: str) -> str:
    """Writes an iCalendar file; each event is its lines without BEGIN and END."""
    parts = "".join(f"BEGIN:VEVENT\r\n{one}\r\nEND:VEVENT\r\n" for one in events)
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{parts}END:VCALENDAR\r\n"


def many_dates(year: int) -> list[str]:
    """Returns as many dates as a calendar may have."""
    return [str(date(year, 1, 1) + timedelta(days=one)) for one in range(2000)]


async def put_calendar(
    client: httpx.AsyncClient, key: str, *dates: str, ics: str | None = None
) -> dict[str, Any]:
    """Creates or replaces a calendar of dates, or of a file."""
    body = {"dates": [*dates]} if ics is None else {"ics": ics}
    answer = await client.put(f"/calendars/{key}", json=body)
    assert answer.status_code in {200, 201}, answer.text
    made: dict[str, Any] = answer.json()
    return made
