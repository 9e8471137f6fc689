"""Reads the dates of a calendar: those that are given, or those of an iCalendar file."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from event_trigger.calendars.ics.blocks import BadFile
from event_trigger.calendars.ics.events import read_file
from event_trigger.calendars.ics.expansion import YEARS_AHEAD, Expansion, Walk, expand
from event_trigger.errors import Invalid
from event_trigger.instants import FIRST_YEAR, LAST_YEAR
from event_trigger.models import Calendar

_ONE_OF_THEM = 'Give dates, such as ["2026-12-25"], or ics, the text of an iCalendar file.'


class Content(NamedTuple):
    """The dates of a calendar, written as ISO 8601, ascending, as `models/calendar.py` says."""

    dates: tuple[str, ...]
    ics: str | None = None
    covers_until: date | None = None
    expanded_in: int | None = None
    warnings: tuple[str, ...] = ()

    def store_in(self, calendar: Calendar) -> None:
        calendar.dates = [*self.dates]
        calendar.ics = self.ics
        calendar.covers_until = self.covers_until
        calendar.expanded_in = self.expanded_in

    def is_stored_in(self, calendar: Calendar) -> bool:
        return (
            [*self.dates] == calendar.dates
            and self.ics == calendar.ics
            and self.covers_until == calendar.covers_until
        )


def read_content(
    dates: Sequence[str] | None, ics: str | None, *, year: int, walk: Walk | None = None
) -> Content:
    """Reads what a body has; raises Invalid.

    Call it off the event loop: the files of one `walk` take up to a second. `dates` beside a file
    may only repeat its dates, so that an answer may be sent back.
    """
    if ics is None:
        if dates is None:
            raise Invalid.at([], _ONE_OF_THEM)
        return Content(tuple(sorted({_date(one, place) for place, one in enumerate(dates)})))
    content = content_of_file(ics, year=year, walk=walk)
    if dates is not None and sorted(set(dates)) != [*content.dates]:
        raise Invalid.at(["dates"], "Leave dates out: they are those of ics. Or leave ics out.")
    return content


def content_of_file(ics: str, *, year: int, walk: Walk | None = None) -> Content:
    """Reads an iCalendar file, as its dates are in a year; raises Invalid."""
    try:
        file = read_file(ics)
        expansion = expand(file.events, year=year, walk=walk)
    except BadFile as error:
        raise Invalid.at(["ics"], str(error)) from None
    goes_on = expansion.covers_until is not None
    return Content(
        tuple(one.isoformat() for one in expansion.dates),
        ics,
        expansion.covers_until,
        year if goes_on else None,
        tuple(_warnings(file.timed, expansion, year)),
    )


def _warnings(timed: int, expansion: Expansion, year: int) -> Iterator[str]:
    if timed:
        events = "An event with times was" if timed == 1 else f"{timed} events with times were"
        yield f"{events} left out: a calendar has whole days."
    if not expansion.dates:
        yield "The file leaves no date: its events are over, cancelled or excluded."
    last = expansion.covers_until
    if last is not None and last.year < year + YEARS_AHEAD:
        yield (
            f"The file has more dates than fit: those until {last} are here, and each New Year adds"
            " another year. Later dates are not excepted yet."
        )


def _date(text: str, place: int) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or not FIRST_YEAR <= day.year <= LAST_YEAR:
        detail = f"Write a date such as 2026-12-25, in the years {FIRST_YEAR} to {LAST_YEAR}."
        raise Invalid.at(["dates", place], detail)
    return text
