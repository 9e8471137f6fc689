"""The slow reference of schedules: it walks a zone's clock minute by minute.

It is written from docs/schedules.md alone, to be read in one sitting, and shares no line with
`triggers/schedule`. A rule says on which local dates, and at which local times, something is due:

1. A rule that runs at least hourly fires whenever the clock shows a time of it.
2. Any other fires at the first minute that shows its time or, as the clock jumps, a later one.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
_YEARS = 6
_NEAR = (-1, 0, 1)  # a date of UTC shows, or skips, local dates up to a day away
_NAMES = {
    3: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    4: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@dataclass(frozen=True)
class Rule:
    on: Callable[[date], bool]  # whether a local date has any time of the rule
    at: Callable[[datetime], bool]  # whether a local time is one, if its date is such a date
    hourly: bool = False


def instants_of(rules: Iterable[Rule], zone: ZoneInfo, since: datetime) -> Iterator[datetime]:
    """Walks the instants from one on for six years; several rules share an instant."""
    rules = [replace(rule, on=cache(rule.on)) for rule in rules]
    on = lru_cache(maxsize=8)(lambda day: any(rule.on(day) for rule in rules))
    first = since.astimezone(UTC).date() - 2 * DAY
    seen: datetime | None = None  # the latest local time that the clock has shown
    for day in (first + number * DAY for number in range(_YEARS * 366)):
        if not any(on(day + near * DAY) for near in _NEAR):
            seen = None
            continue
        for instant, shown in clock(zone, day):
            if instant >= since and any(_is_due(rule, shown, seen) for rule in rules):
                yield instant
            seen = shown if seen is None else max(seen, shown)


@lru_cache(maxsize=128)
def clock(zone: ZoneInfo, day: date) -> list[tuple[datetime, datetime]]:
    """Reads the local clock at each minute of a date of UTC; once where it runs evenly all day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    minutes = [midnight + number * MINUTE for number in range(1440)]
    if (offset := _offset(zone, midnight)) == _offset(zone, midnight + DAY):
        return [(one, one.replace(tzinfo=None) + offset) for one in minutes]
    return [(one, one.astimezone(zone).replace(tzinfo=None, fold=0)) for one in minutes]


def _is_due(rule: Rule, shown: datetime, seen: datetime | None) -> bool:
    if rule.hourly or seen is None:
        return _names(rule, shown)
    while seen < shown:  # more than once if the clock has jumped
        seen += MINUTE
        if _names(rule, seen):
            return True
    return False


def _names(rule: Rule, shown: datetime) -> bool:
    return rule.at(shown) and rule.on(shown.date())


@cache
def clock_changes(timezone: str, first_year: int, last_year: int) -> list[datetime]:
    """Finds the clock changes of some years, to the minute."""
    zone, found = ZoneInfo(timezone), []
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    while day.year <= last_year:
        before, offset = day, _offset(zone, day)
        day += DAY
        if _offset(zone, day) == offset:
            continue
        after = day
        while after - before > MINUTE:
            half = before + (after - before) // (2 * MINUTE) * MINUTE
            if _offset(zone, half) == offset:
                before = half
            else:
                after = half
        found.append(after)
    return found


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def cron_rule(line: str) -> Rule:
    fields = line.upper().replace("?", "*").split()
    minutes, hours, months = (_numbers(fields[one], one) for one in (0, 1, 3))
    in_month, in_week = _days_of_month(fields[2]), _days_of_week(fields[4])
    either = not (fields[2].startswith("*") or fields[4].startswith("*"))  # both are restricted

    def on(day: date) -> bool:
        if day.month not in months:
            return False
        if either:
            return in_month(day) or in_week(day)
        return in_month(day) and in_week(day)

    return Rule(on, lambda at: at.minute in minutes and at.hour in hours, len(hours) == 24)


def civil_rule(start: datetime, *, months: int = 0, days: int = 0, skip: bool = False) -> Rule:
    """Returns the rule of an interval of whole days or months from a local time on."""

    def on(day: date) -> bool:
        if day < start.date():
            return False
        if days:
            return (day - start.date()).days % days == 0
        passed = (day.year - start.year) * 12 + day.month - start.month
        wanted = start.day if skip else min(start.day, _last_of(day))
        return passed % months == 0 and day.day == wanted

    return Rule(on, lambda at: at.time() == start.time())


def recurrence_rule(text: str, start: datetime, until: date) -> Rule:
    """Returns the rule of an RRULE up to a date; dateutil does its calendar.

    The rule must match at all, or dateutil looks for a match until the year 9999. BYSETPOS chooses
    from the whole first week, as RFC 5545 has it, where dateutil chooses from the days after the
    start alone: so it is given the beginning of that week, and what is too early is left out.
    """
    parts = dict(one.split("=") for one in text.split(";"))
    first, number = start, None
    if parts["FREQ"] == "WEEKLY" and "BYSETPOS" in parts:
        parts.setdefault("BYDAY", _WEEKDAYS[start.weekday()])
        first -= (start.weekday() - _WEEKDAYS.index(parts.get("WKST", "MO"))) % 7 * DAY
        number = int(parts.pop("COUNT", 0)) or None
        text = ";".join(map("=".join, parts.items()))
    walked = takewhile(lambda one: one.date() <= until, rrulestr(text, dtstart=first))
    found = {*islice((one for one in walked if one >= start), number)}
    return Rule({one.date() for one in found}.__contains__, found.__contains__)


def _numbers(text: str, field: int) -> set[int]:
    """Reads a list of numbers and ranges; a range that wraps goes on from the field's start."""
    lowest, highest = _LIMITS[field]
    around = [*range(lowest, highest + 1)] * 2
    found: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            values = around[: highest - lowest + 1]
        elif last:
            begin = around.index(_number(first, field))
            values = around[begin : around.index(_number(last, field), begin) + 1]
            if field == 4 and (first, last) in {("0", "7"), ("SUN", "7")}:
                values = [*range(7), 0]  # Sunday is 0 and 7: from Sunday to Sunday
        else:
            begin = _number(first, field)
            values = [*range(begin, highest + 1)] if step else [begin]
            if step and field == 4 and first == "7":
                values = [begin]  # after Sunday, as 7, comes none
            elif step and field == 4:
                values += [0]  # as 7
        found.update(values[:: int(step or 1)])
    return found


def _number(text: str, field: int) -> int:
    if text in _NAMES.get(field, []):
        return _NAMES[field].index(text) + _LIMITS[field][0]
    return int(text) % 7 if field == 4 else int(text)


def _days_of_month(text: str) -> Callable[[date], bool]:
    terms = text.split(",")
    plain = [one for one in terms if one[-1] not in "LW"]
    numbers = _numbers(",".join(plain), 2) if plain else set()

    def has(day: date) -> bool:
        working = [one.day for one in _month(day) if one.weekday() < 5]
        last = {"L": _last_of(day), "LW": working[-1]}
        for term in set(terms) - set(plain):
            if term in last:
                found = last[term]
            elif (number := int(term[:-1])) <= _last_of(day):
                found = min(working, key=lambda one: abs(one - number))
            else:
                continue
            if day.day == found:
                return True
        return day.day in numbers

    return has


def _days_of_week(text: str) -> Callable[[date], bool]:
    terms = text.split(",")
    plain = [one for one in terms if "#" not in one and not one.endswith("L")]
    numbers = _numbers(",".join(plain), 4) if plain else set()

    def has(day: date) -> bool:
        same = [one for one in _month(day) if one.weekday() == day.weekday()]
        for term in set(terms) - set(plain):
            name, _, place = term.removesuffix("L").partition("#")
            meant = same[int(place) - 1 : int(place)] if place else same[-1:]
            if _number(name, 4) == day.isoweekday() % 7 and meant == [day]:
                return True
        return day.isoweekday() % 7 in numbers

    return has


def _month(day: date) -> list[date]:
    return _days_of(day.year, day.month)


@lru_cache(maxsize=256)
def _days_of(year: int, month: int) -> list[date]:
    first = date(year, month, 1)
    return [first.replace(day=number) for number in range(1, _last_of(first) + 1)]


def _last_of(day: date) -> int:
    return monthrange(day.year, day.month)[1]
