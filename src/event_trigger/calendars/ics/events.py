"""Reads the all-day events of an iCalendar file, by the package `icalendar`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from event_trigger.calendars.ics.blocks import (
    ALL_DAY,
    BadFile,
    EventBlock,
    check_line,
    event_blocks,
)
from event_trigger.instants import LAST_YEAR

LONGEST_EVENT_DAYS = 366
_FIRST_YEAR = 1583  # birthdays of some programs recur from 1604 on
_WITH_TIME = re.compile(r"\d{8}T\d{6}Z?", re.ASCII | re.IGNORECASE)
_MIDNIGHT = re.compile(r"\d{8}T000000", re.ASCII | re.IGNORECASE)
_ONE_DAY = timedelta(days=1)


class AllDayEvent(NamedTuple):
    """An event that begins at `start` and lasts `days` days.

    It recurs by `rule` and on the dates `added`, but not on `excluded` ones. If `replaces` is a
    date, it stands for that occurrence of the event with the same `uid`; a cancelled one has 0
    days. `line` is its place in the file.
    """

    line: int
    uid: str
    start: date
    days: int
    rule: str | None = None
    added: frozenset[date] = frozenset()
    excluded: frozenset[date] = frozenset()
    replaces: date | None = None


class CalendarFile(NamedTuple):
    """The all-day events of a file, and the number of its other events, which have times."""

    events: tuple[AllDayEvent, ...]
    timed: int


def read_file(text: str) -> CalendarFile:
    """Raises BadFile. Takes up to a second, so call it off the event loop."""
    events, timed = list[AllDayEvent](), 0
    for block in event_blocks(text):
        if _has_time(block):
            timed += 1
        else:
            events.append(_read(block))
    if not events:
        raise BadFile(
            "The file has no all-day event, which is one whose DTSTART is a date such as"
            " DTSTART;VALUE=DATE:20261225. Events with times are not read."
        )
    return CalendarFile(tuple(events), timed)


def _has_time(block: EventBlock) -> bool:
    """Tells whether an event has times; Outlook's all-day events are from midnight to midnight."""
    is_all_day = any(line.strip().upper() == f"{ALL_DAY}:TRUE" for _, line in block.lines)
    for name, line in block.lines:
        at = line.rpartition(":")[2].strip()
        if name == "DTSTART" and _WITH_TIME.fullmatch(at):
            return not (is_all_day and _MIDNIGHT.fullmatch(at))
    return False


def _read(block: EventBlock) -> AllDayEvent:
    from icalendar import Event  # noqa: PLC0415  takes 0.4 s, and most processes never need it

    for _, line in block.lines:
        check_line(line, at=block.line)
    try:
        event: Any = Event.from_ical(block.text)
        for name, _ in event.errors:
            raise BadFile(f"The {name} of the event cannot be read.", line=block.line)
        return _Reader(block.line, event).read()
    except BadFile:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError):
        raise BadFile("The event cannot be read.", line=block.line) from None


class _Reader(NamedTuple):
    """Reads one event of the package `icalendar`.

    Each value is checked by its type, since a parameter such as VALUE=TEXT makes another of it.
    """

    line: int
    event: Any

    def read(self) -> AllDayEvent:
        start = self._one_date("DTSTART")
        if start is None:
            raise self._bad("The event has no DTSTART.")
        if self.event.get("EXRULE") is not None:
            raise self._bad("EXRULE is not read: name the dates that it leaves out as EXDATE.")
        is_cancelled = str(self._one("STATUS") or "").upper() == "CANCELLED"
        return AllDayEvent(
            self.line,
            str(self._one("UID") or ""),
            start,
            0 if is_cancelled else self._days(start),
            self._rule(),
            frozenset(self._dates("RDATE")),
            frozenset(self._dates("EXDATE")),
            self._replaces(),
        )

    def _one(self, name: str) -> Any:
        value = self.event.get(name)
        if isinstance(value, list):
            raise self._bad(f"The event has more than one {name}: write one.")
        return value

    def _one_date(self, name: str) -> date | None:
        value = self._one(name)
        return None if value is None else self._date(value, name)

    def _rule(self) -> str | None:
        rule = self._one("RRULE")
        if rule is None:
            return None
        if not isinstance(rule, Mapping):
            raise self._bad("The RRULE must be such as RRULE:FREQ=YEARLY, without VALUE.")
        text: str = rule.to_ical().decode()  # type: ignore[attr-defined]
        return text

    def _replaces(self) -> date | None:
        replaced = self._one_date("RECURRENCE-ID")
        if replaced is not None and "RANGE" in self._one("RECURRENCE-ID").params:
            raise self._bad(
                "A RECURRENCE-ID with RANGE is not read: end the series with UNTIL, and begin"
                " another."
            )
        return replaced

    def _days(self, start: date) -> int:
        """Returns the length; an event without an end, or with an empty one, lasts a day."""
        end, duration = self._one_date("DTEND"), self._one("DURATION")
        if end is None and duration is not None:
            length = self._length(duration)
        else:
            length = _ONE_DAY if end is None else end - start
        if length < timedelta(0) or length % _ONE_DAY:
            raise self._bad("The event must end after its start, and last whole days.")
        if length > timedelta(days=LONGEST_EVENT_DAYS):
            raise self._bad(f"An event lasts at most {LONGEST_EVENT_DAYS} days.")
        return max(1, length.days)

    def _length(self, duration: Any) -> timedelta:
        found = getattr(duration, "dt", None)
        if not isinstance(found, timedelta):
            raise self._bad("The DURATION must be such as DURATION:P2D, without VALUE.")
        return found

    def _dates(self, name: str) -> Iterator[date]:
        value = self.event.get(name)
        lists: Iterable[Any] = value if isinstance(value, list) else [value]
        for one in lists:
            for each in () if one is None else getattr(one, "dts", [one]):
                yield self._date(each, name)

    def _date(self, value: Any, name: str) -> date:
        """Reads a date; of a date with a time, which some programs write, the date is taken."""
        found = getattr(value, "dt", None)
        if isinstance(found, datetime):
            found = found.date()
        if not isinstance(found, date) or not _FIRST_YEAR <= found.year <= LAST_YEAR:
            raise self._bad(
                f"{name} must be a date such as 20261225, in the years {_FIRST_YEAR} to"
                f" {LAST_YEAR}."
            )
        return found

    def _bad(self, message: str) -> BadFile:
        return BadFile(message, line=self.line)
