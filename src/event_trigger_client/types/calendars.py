"""Types of answers about calendars."""

from typing import TypedDict


class _CalendarSometimes(TypedDict, total=False):
    dates: list[str]
    ics: str | None
    warnings: list[str]


class Calendar(_CalendarSometimes):
    """A named list of dates; a list of calendars has no `dates`."""

    id: int
    key: str
    count: int
    covers_until: str | None
    created_at: str
    updated_at: str


class Holiday(TypedDict):
    """A public holiday."""

    date: str
    name: str


class Holidays(TypedDict):
    """The public holidays of a country."""

    country: str
    region: str | None
    dates: list[str]
    holidays: list[Holiday]
