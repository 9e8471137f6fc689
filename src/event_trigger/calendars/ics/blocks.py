"""Cuts an iCalendar file into its events, and leaves out all that dates do not depend on."""

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST_CHARACTERS = 512 * 1024
MOST_EVENTS = 2000  # of events with times, too
ALL_DAY = "X-MICROSOFT-CDO-ALLDAYEVENT"  # TRUE in events of Outlook that have no times
_DEEPEST = 4  # a calendar has events, and these have alarms
_LONGEST_LINE = 20_000  # of those that are read
_READ = frozenset(
    {
        *("UID", "STATUS", "DTSTART", "DTEND", "DURATION", "RECURRENCE-ID"),
        *("RRULE", "RDATE", "EXDATE", "EXRULE", ALL_DAY),
    }
)
_NAME = re.compile(r"([A-Za-z0-9-]+)[;:]")


class BadFile(ValueError):
    """Raised with a sentence for users; `line` is the place in the file, counted from 1."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Line {line}: {message}")


class EventBlock(NamedTuple):
    """The unfolded lines of one event that are read, by name, and the line that it begins at."""

    line: int
    lines: list[tuple[str, str]]

    @property
    def text(self) -> str:
        """The event as a file that has nothing else."""
        return "\r\n".join(("BEGIN:VEVENT", *(one for _, one in self.lines), "END:VEVENT", ""))


def event_blocks(text: str) -> Iterator[EventBlock]:
    """Walks the events of a file, each once its end is read; raises BadFile.

    It takes time in proportion to the length, and never gives a part of a file that was cut off.
    """
    check_length(text)
    open_parts: list[str] = []
    block, found = EventBlock(0, []), 0
    for number, line in _unfolded(text):
        name = named[1].upper() if (named := _NAME.match(line)) is not None else ""
        if name == "BEGIN":
            _begin(open_parts, line, number)
            if open_parts == ["VCALENDAR", "VEVENT"]:
                block, found = EventBlock(number, []), found + 1
                _check_number(found, number)
        elif name == "END":
            is_whole = open_parts == ["VCALENDAR", "VEVENT"]
            _end(open_parts, line, number)
            if is_whole:
                yield block
        elif not open_parts and line.strip("\ufeff \t"):
            raise BadFile("An iCalendar file begins with BEGIN:VCALENDAR.", line=number)
        elif open_parts == ["VCALENDAR", "VEVENT"] and name in _READ:
            block.lines.append((name, line))
    if open_parts:
        raise BadFile(f"The file ends before END:{open_parts[-1]}. Send all of it.")


def check_length(text: str) -> str:
    """Raises BadFile for a text that is too long."""
    if len(text) > MOST_CHARACTERS:
        raise BadFile(f"An iCalendar file has at most {MOST_CHARACTERS // 1024} KiB.")
    return text


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Joins folded lines (RFC 5545, section 3.1); gives each with its number."""
    first, parts = 1, list[str]()
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        whole = line.removesuffix("\r")
        if whole.startswith((" ", "\t")) and parts:
            parts.append(whole[1:])
            continue
        if parts:
            yield first, "".join(parts)
        first, parts = number, [whole]
    yield first, "".join(parts)


def _begin(open_parts: list[str], line: str, number: int) -> None:
    part = _part(line)
    if not open_parts and part != "VCALENDAR":
        raise BadFile("An iCalendar file begins with BEGIN:VCALENDAR.", line=number)
    if len(open_parts) == _DEEPEST:
        raise BadFile(f"Its parts are nested deeper than {_DEEPEST} levels.", line=number)
    open_parts.append(part)


def _end(open_parts: list[str], line: str, number: int) -> None:
    if not open_parts or open_parts.pop() != _part(line):
        raise BadFile("This END has no BEGIN of the same name before it.", line=number)


def _part(line: str) -> str:
    return line.partition(":")[2].strip().upper()


def _check_number(found: int, line: int) -> None:
    if found > MOST_EVENTS:
        raise BadFile(f"The file has more than {MOST_EVENTS} events. Split it up.", line=line)


def check_line(line: str, *, at: int) -> None:
    """Raises BadFile for a line that would take long to read; `at` is its event's."""
    if len(line) > _LONGEST_LINE:
        raise BadFile(f"The event has a line of over {_LONGEST_LINE} characters.", line=at)
