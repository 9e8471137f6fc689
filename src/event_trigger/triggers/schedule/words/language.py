"""Writes lists, runs and durations in English."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
SHORTEST_MONTH = 28
_PLACES = ("first", "second", "third", "fourth", "fifth")
_WEEK = timedelta(days=7)
_IN_ONE = {"day": 24, "hour": 60, "minute": 60}  # of the unit below
_UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
    ("microsecond", timedelta(microseconds=1)),
)


def listed(parts: Iterable[str], word: str = "and") -> str:
    *first, last = parts
    return f"{', '.join(first)} {word} {last}" if first else last


def calendars_named(keys: Sequence[str]) -> str:
    return f"{'calendar' if len(keys) == 1 else 'the calendars'} {listed(keys)}"


def runs(numbers: Sequence[int], names: Sequence[str]) -> list[str]:
    """Names the numbers, three or more in a row as "first to last"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return [
        part
        for run in found
        for part in (
            [f"{names[run[0]]} to {names[run[-1]]}"]
            if len(run) > 2
            else [names[number] for number in run]
        )
    ]


def weekday_runs(week: Sequence[int]) -> list[str]:
    """Names sorted weekdays, 0 is Monday, as runs; a run may go on from Sunday to Monday."""
    return runs(_around(week, 7), DAYS * 2)


def _around(numbers: Sequence[int], whole: int) -> Sequence[int]:
    """Puts sorted numbers from 0 that go on beyond the end into one row, after the last gap."""
    if not (numbers[0] == 0 and numbers[-1] == whole - 1 and len(numbers) < whole):
        return numbers
    gap = max(one for one in range(whole) if one not in numbers)
    return [one for one in numbers if one > gap] + [one + whole for one in numbers if one < gap]


def month_runs(months: Iterable[int]) -> str:
    """Names months, 1 is January; a run may go on from December to January."""
    return listed(runs(_around([one - 1 for one in sorted(months)], 12), MONTHS * 2))


def numbered(unit: str, numbers: Sequence[int], *, listed_most: int = 3) -> str:
    """Writes "minutes 0 to 5 and 30"; more numbers of one distance than some as steps."""
    first, last = numbers[0], numbers[-1]
    if len(numbers) > listed_most:
        step = numbers[1] - first
        if step > 1 and list(numbers) == [*range(first, last + 1, step)]:
            return f"{unit}s {first} to {last} in steps of {step}"
    names = [str(number) for number in range(last + 1)]
    return f"{unit}{'s' if len(numbers) > 1 else ''} {listed(runs(numbers, names))}"


def ordinal(number: int) -> str:
    """Names a place: "third", "last", "second to last"; beyond the fifth in figures."""
    if number < 0:
        return "last" if number == -1 else f"{ordinal(-number)} to last"
    if number <= len(_PLACES):
        return _PLACES[number - 1]
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 % 10 != 1 else 0, "th")
    return f"{number}{suffix}"


def counted(number: int, unit: str) -> str:
    """Writes "every day" parts: "day", "2 days"."""
    return unit if number == 1 else f"{number} {unit}s"


def duration(interval: timedelta) -> str:
    if interval >= _WEEK and not interval % _WEEK:
        return counted(interval // _WEEK, "week")
    counts: list[tuple[int, str]] = []
    for (above, _), (name, unit) in pairwise([("", _WEEK), *_UNITS]):
        count, interval = divmod(interval, unit)
        if count and above in _IN_ONE and counts == [(1, above)] and not interval:
            counts = [(_IN_ONE[above] + count, name)]
        elif count:
            counts.append((count, name))
    if len(counts) == 1 and counts[0][0] == 1:
        return counts[0][1]
    return listed([f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts])


def length(span: timedelta) -> str:
    """Writes a duration with its number, also if that is one."""
    words = duration(span)
    return words if words[0].isdigit() else f"1 {words}"


def clock_time(at: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
