"""Reads the five fields of a cron line into the numbers and days that they name.

The dialect is cron(8)'s, with Quartz's L, W and #, ranges that wrap (`22-2`), and `?` for `*`
in a day field.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.walls.cron import SUNDAY, CronLine, MonthDays, WeekDays

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_VALUE = r"[0-9]{1,4}|[A-Z]{3}"
_TERM = re.compile(
    rf"(?:(?P<any>[*?])|(?P<first>{_VALUE})(?:-(?P<last>{_VALUE}))?)(?:/(?P<step>[0-9]+))?"
)
_NEAREST = re.compile(r"([0-9]{1,2})W")
_LAST_OF_WEEKDAY = re.compile(rf"({_VALUE})L")
_NTH_OF_WEEKDAY = re.compile(rf"({_VALUE})#([1-5])")
_WORD = re.compile(r"[A-Z]{2,10}")
_ENGLISH: Mapping[str, str] = {  # beginnings of German, French, Spanish, Portuguese, Dutch names
    **dict.fromkeys(("MO", "LUN", "SEG", "MA"), "MON"),
    **dict.fromkeys(("DI", "MAR", "TER"), "TUE"),
    **dict.fromkeys(("MI", "MER", "MIE", "QUA", "WO"), "WED"),
    **dict.fromkeys(("DO", "JEU", "JUE", "GIO", "QUI"), "THU"),
    **dict.fromkeys(("FR", "VEN", "VIE", "SEX", "VR"), "FRI"),
    **dict.fromkeys(("SA", "SAM", "SAB", "ZA"), "SAT"),
    **dict.fromkeys(("SO", "DIM", "DOM", "ZO", "SU"), "SUN"),
    **dict.fromkeys(("TU",), "TUE"),
    **dict.fromkeys(("WE",), "WED"),
    **dict.fromkeys(("TH",), "THU"),
}
_ENGLISH_MONTHS: Mapping[str, str] = {
    **dict.fromkeys(("ENE", "GEN", "JANV"), "JAN"),
    **dict.fromkeys(("FEV", "FEVR"), "FEB"),
    **dict.fromkeys(("MRZ", "MARS", "MRT"), "MAR"),
    **dict.fromkeys(("AVR", "ABR"), "APR"),
    **dict.fromkeys(("MAI", "MEI", "MAG"), "MAY"),
    **dict.fromkeys(("JUIN", "GIU"), "JUN"),
    **dict.fromkeys(("JUIL", "LUG"), "JUL"),
    **dict.fromkeys(("AOUT", "AGO"), "AUG"),
    **dict.fromkeys(("SET", "SEPT"), "SEP"),
    **dict.fromkeys(("OKT", "OUT", "OTT"), "OCT"),
    **dict.fromkeys(("DEZ", "DIC"), "DEC"),
}


class Field(NamedTuple):
    """A field: its name, its first and last number, how many there are, and its names."""

    name: str
    first: int
    last: int
    around: int
    names: tuple[str, ...] = ()

    @property
    def limits(self) -> str:
        named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.first}-{self.last}{named}"


MINUTE = Field("minute", 0, 59, 60)
HOUR = Field("hour", 0, 23, 24)
DAY_OF_MONTH = Field("day-of-month", 1, 31, 31)
MONTH = Field("month", 1, 12, 12, _MONTHS)
DAY_OF_WEEK = Field("day-of-week", 0, 7, 7, _DAYS)
_INSTEAD_OF_BEYOND = {
    MINUTE: "for the full hour, write 0",
    HOUR: "for midnight, write 0",
    DAY_OF_MONTH: "1 is the first day, and L the last",
    MONTH: "write a number or a name of a month",
    DAY_OF_WEEK: "0 and 7 are Sunday, 1 is Monday",
}
_BEYOND_FIFTH = re.compile(rf"^({_VALUE})#[0-9]+$")
FIELDS = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)


def read_fields(fields: list[str]) -> CronLine:
    """Reads five fields in upper case; raises ScheduleError.

    As cron(8) has it, a day must match both day fields if one of them begins with `*`.
    """
    minute, hour, day, month, weekday = fields
    _refuse_other_names(MONTH, month)
    _refuse_other_names(DAY_OF_WEEK, weekday)
    line = CronLine(
        minutes=_numbers(MINUTE, minute),
        hours=_numbers(HOUR, hour),
        month_days=_read_month_days(day),
        months=_numbers(MONTH, month),
        week_days=_read_week_days(weekday),
        needs_both=day[0] in "*?" or weekday[0] in "*?",
    )
    if line.never_fires:
        raise ScheduleError(_why_never(day, weekday), field="cron")
    return line


def _why_never(day: str, weekday: str) -> str:
    if {day, weekday}.isdisjoint({"*", "?"}):
        return "cron can never fire: no day matches both of its day fields. Leave one of them *."
    return "cron can never fire: its months do not have that day. Name one that they have."


@lru_cache(maxsize=1024)
def _read_month_days(text: str) -> MonthDays:
    rest, nearest = [], set()
    for term in text.split(","):
        if found := _NEAREST.fullmatch(term):
            nearest.add(_number(DAY_OF_MONTH, found[1], term))
        elif term not in ("L", "LW"):
            rest.append(term)
    terms = text.split(",")
    numbers = _numbers(DAY_OF_MONTH, ",".join(rest)) if rest else frozenset[int]()
    return MonthDays(numbers, frozenset(nearest), "L" in terms, "LW" in terms)


@lru_cache(maxsize=1024)
def _read_week_days(text: str) -> WeekDays:
    rest, nth = [], set()
    for term in text.split(","):
        if found := _LAST_OF_WEEKDAY.fullmatch(term):
            nth.add((_weekday(found), 0))
        elif found := _NTH_OF_WEEKDAY.fullmatch(term):
            nth.add((_weekday(found), int(found[2])))
        else:
            rest.append(term)
    numbers = _numbers(DAY_OF_WEEK, ",".join(rest)) if rest else ()
    return WeekDays(frozenset(one or SUNDAY for one in numbers), frozenset(nth))


def _weekday(found: re.Match[str]) -> int:
    return _number(DAY_OF_WEEK, found[1], found.string) or SUNDAY


@lru_cache(maxsize=4096)
def _numbers(field: Field, text: str) -> frozenset[int]:
    """Reads a list of numbers and ranges, each perhaps with a step."""
    numbers: set[int] = set()
    for term in text.split(","):
        found = _TERM.fullmatch(term)
        if found is None:
            raise _bad_field(field, text)
        step = int(found["step"] or 1)
        if not step:
            raise _refusal(field, "has a step of 0: write * for each, or a step of at least 1.")
        numbers.update(_range(field, found)[::step])
    return frozenset(numbers)


def _range(field: Field, term: re.Match[str]) -> range | list[int]:
    """Returns the numbers of a term without its step: `5/15` goes on to the end, `5-5/15` is 5."""
    if term["any"] == "?" and field not in {DAY_OF_MONTH, DAY_OF_WEEK}:
        raise _refusal(field, "takes no ?, which stands in a day field: write *.")
    if term["any"]:
        return range(field.first, field.last + 1)
    first = _number(field, term["first"], term.string)
    if term["last"] is None:
        return range(first, field.last + 1 if term["step"] else first + 1)
    last = _number(field, term["last"], term.string)
    if first <= last:
        return range(first, last + 1)
    end = field.first + field.around
    return [*range(first, end), *range(field.first, last + 1)]


def _number(field: Field, text: str, term: str) -> int:
    if text.isdigit() and field.first <= int(text) <= field.last:
        return int(text)
    if text in field.names:
        return field.first + field.names.index(text)
    raise _bad_field(field, term)


@lru_cache(maxsize=1024)
def _refuse_other_names(field: Field, text: str) -> None:
    if english := _in_english(text, field.names):
        raise _refusal(field, f"has English names of three letters: write {english}.")


def _bad_field(field: Field, text: str) -> ScheduleError:
    """Refuses a field, or a part of one; names what to write if the mistake is a known one."""
    if "" in text.split(","):
        return _refusal(field, "has a comma too many: write numbers with one comma between two.")
    if found := _BEYOND_FIFTH.search(text):
        last = f"{found[1]}L"
        return _refusal(field, f"may name the first to the fifth, #1 to #5: write {last} for last.")
    if text.isdigit() and field in _INSTEAD_OF_BEYOND:
        return _refusal(field, f"takes {field.limits}: {_INSTEAD_OF_BEYOND[field]}.")
    more = {
        DAY_OF_MONTH: ", L, LW or 15W",
        DAY_OF_WEEK: ", 5L (the last Friday) or 1#2 (the second Monday)",
    }.get(field, "")
    return _refusal(
        field,
        f"must be *, or a list of numbers and ranges within {field.limits}, with steps of at least"
        f" 1 such as */2{more}.",
    )


def _refusal(field: Field, rest: str) -> ScheduleError:
    return ScheduleError(f"The {field.name} field of cron {rest}", field="cron")


def _in_english(text: str, names: Sequence[str]) -> str | None:
    """Writes a field's names as cron does, "MONDAY-FRIDAY" as "MON-FRI"; None if one is unknown."""
    words = _WORD.findall(text)
    found = {word: _name(word, names) for word in words}
    if not words or len(text) > 40 or None in found.values() or all(one in names for one in words):
        return None
    return _WORD.sub(lambda word: found[word[0]] or "", text)


def _name(word: str, names: Sequence[str]) -> str | None:
    if word in names:
        return word
    others = _ENGLISH if "SUN" in names else _ENGLISH_MONTHS
    if word in others:
        return others[word]
    full = {one[:3]: one for one in (*_FULL_DAYS, *_FULL_MONTHS)}.get(word[:3], "")
    return word[:3] if word[:3] in names and full.startswith(word) else None


_FULL_DAYS = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
_FULL_MONTHS = (
    *("JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST"),
    *("SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
)
