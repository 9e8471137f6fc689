"""Reads sentences about cron lines, ours and cron-descriptor's, back into times and days.

Both are read by the same patterns where they use the same words, once `through` is `to`.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
PLACES = ("first", "second", "third", "fourth", "fifth")
STEPS = {2: "second", 3: "third", 4: "fourth", 6: "sixth", 8: "eighth", 12: "twelfth"}
YEAR = [date(2028, 1, 1) + timedelta(days=number) for number in range(366)]
_LIST = r"((?:\d+(?: to \d+)?(?:, and |, | and )?)+(?: in steps of \d+)?)"
_CLOCK = r"(\d\d):(\d\d)"
_WEEKDAY = "|".join(WEEKDAYS)
_MONTH = "|".join(MONTHS)
_NTH = rf"the ({'|'.join(PLACES)}|last) ({_WEEKDAY}) of the month"


class Meaning(NamedTuple):
    """Minutes since midnight, and the days of a leap year."""

    times: frozenset[int]
    days: frozenset[date]


def read_ours(sentence: str) -> Meaning:
    return _meaning(*_times_of_ours(sentence), sentence)


def read_theirs(sentence: str) -> Meaning:
    sentence = sentence.replace(" through ", " to ").replace("nearest day", "nearest to day")
    sentence = sentence.replace("first weekday", "weekday nearest to day 1")
    sentence = re.sub(r"between day (\d+) and (\d+) of", r"on days \1 to \2 of", sentence)
    return _meaning(*_times_of_theirs(sentence), sentence)


def _meaning(minutes: Iterable[int], hours: Iterable[int] | None, sentence: str) -> Meaning:
    if hours is not None:
        minutes = [hour * 60 + minute for hour in hours for minute in minutes]
    names = _days(sentence)
    return Meaning(frozenset(minutes), frozenset(day for day in YEAR if names(day)))


def _times_of_ours(sentence: str) -> tuple[Iterable[int], Iterable[int] | None]:
    """Returns the minutes of some hours, or of the day if the hours are None."""
    text = re.sub(rf"^In (?:(?:{_MONTH}|to|and)[ ,]+)+", "", sentence).lower()
    if listed := re.match(rf"at ((?:{_CLOCK}(?:, | and )?)+)", text):
        return [int(hour) * 60 + int(one) for hour, one in re.findall(_CLOCK, listed[1])], None
    minutes, step = _minutes(text), 1
    if every := re.search(r"every (\d+) hours", text):
        minutes, step = {0}, int(every[1])
    for number, name in STEPS.items():
        step = number if f"every {name} hour" in text else step
    if named := re.search(rf"(?:in|of) hours? {_LIST}", text):
        return minutes, _numbers(named[1])
    spans = [[int(one) for one in span] for span in re.findall(f"from {_CLOCK} to {_CLOCK}", text)]
    if spans and "hours" in text:
        minutes = {spans[0][1]}
    hours: set[int] = set() if spans else {*range(0, 24, step)}
    for first, _, last, _ in spans:
        hours.update(one % 24 for one in range(first, last + 1 + 24 * (last < first), step))
    return minutes, hours


def _minutes(text: str) -> set[int]:
    if every := re.search(r"every (\d+) minutes", text):
        return {*range(0, 60, int(every[1]))}
    if named := re.search(rf"at minutes? {_LIST}", text):
        return _numbers(named[1])
    return {*range(60)} if "every minute" in text else {0}


def _times_of_theirs(sentence: str) -> tuple[Iterable[int], Iterable[int] | None]:
    text = sentence.lower()
    minutes: set[int] = {0}
    if every := re.search(r"every (\d+) minutes", text):
        start = re.search(r"starting at (\d+) minutes past", text)
        minutes = {*range(int(start[1]) if start else 0, 60, int(every[1]))}
    elif "every minute" in text:
        minutes = {*range(60)}
    if span := re.search(r"minutes (\d+) to (\d+) past", text):
        first, last = int(span[1]), int(span[2])
        step = int(every[1]) if every else 1
        minutes = {*range(first, last + 1, step)}
    elif (named := re.search(rf"at {_LIST} minutes? past", text)) and not every:
        minutes = _numbers(named[1])
    has_minutes = "minute" in text
    hours: set[int] = {*range(24)}
    step = int(found[1]) if (found := re.search(r"every (\d+) hours", text)) else 1
    if between := re.search(rf"between {_CLOCK} and {_CLOCK}", text):
        first, last = int(between[1]), int(between[3])
        hours = {one % 24 for one in range(first, last + 1 + 24 * (last < first), step)}
    elif step > 1:
        begin = re.search(rf"starting at {_CLOCK}", text)
        hours = {*range(int(begin[1]) if begin else 0, 24, step)}
    elif named := re.search(rf"at ((?:{_CLOCK}(?: to {_CLOCK})?(?:, and |, | and )?)+)", text):
        if not has_minutes and " to " not in named[1]:
            return [int(hour) * 60 + int(one) for hour, one in re.findall(_CLOCK, named[1])], None
        hours = _numbers(re.sub(_CLOCK, r"\1", named[1]))
    return minutes, hours


def _days(sentence: str) -> Callable[[date], bool]:
    """Reads the days, of which a sentence names some by date, by month, by weekday."""
    dates = re.findall(rf"({_MONTH}) (\d+)", sentence)
    months = _months(sentence) if not dates else set()
    in_month = [] if not dates else [(MONTHS.index(name) + 1, int(day)) for name, day in dates]
    rest = re.sub(_NTH, "", sentence)
    near = re.findall(rf"nearest to day {_LIST} of the month", sentence)
    numbers = re.findall(rf"(?<!to )days? {_LIST}(?: and [LW]+)? of the month", sentence)
    of_month = {one for found in numbers for one in _numbers(found)}
    if every := re.search(r"every (\d+) days(?! of)", sentence):
        of_month = {*range(1, 32, int(every[1]))}
    weekdays = _names(rest, WEEKDAYS)
    if step := re.search(r"every (\d+) days of the week", sentence):
        weekdays = {*range(0, 7, int(step[1]))}
    nth = re.findall(_NTH, sentence)

    def is_month_day(day: date) -> bool:
        length = monthrange(day.year, day.month)[1]
        working = working_days(day.year, day.month)
        return (
            (day.month, day.day) in in_month
            or day.day in of_month
            or ("the last day of the month" in sentence and day.day == length)
            or ("the last weekday of the month" in sentence and day.day == working[-1])
            or any(
                day.day == min(working, key=lambda one: abs(one - number))
                for found in near
                for number in _numbers(found)
                if number <= length
            )
        )

    def is_week_day(day: date) -> bool:
        name, place = WEEKDAYS[day.isoweekday() % 7], PLACES[(day.day - 1) // 7]
        is_last = day.day + 7 > monthrange(day.year, day.month)[1]
        return (
            day.isoweekday() % 7 in weekdays
            or (place, name) in nth
            or (is_last and ("last", name) in nth)
        )

    has_month_days = bool(in_month or of_month or near or "the last day of" in sentence)
    has_month_days = has_month_days or "the last weekday of" in sentence
    has_week_days = bool(weekdays or nth)

    def names(day: date) -> bool:
        if months and day.month not in months:
            return False
        if has_month_days and has_week_days and "or on" in sentence:
            return is_month_day(day) or is_week_day(day)
        return (not has_month_days or is_month_day(day)) and (not has_week_days or is_week_day(day))

    return names


@lru_cache
def working_days(year: int, month: int) -> list[int]:
    """Returns the days of a month that are Monday to Friday."""
    days = range(1, monthrange(year, month)[1] + 1)
    return [one for one in days if date(year, month, one).weekday() < 5]


def _months(sentence: str) -> set[int]:
    months = {one + 1 for one in _names(sentence, MONTHS)}
    if step := re.search(r"every (\d+) months", sentence):
        first = min(months, default=1)
        return {*range(first, max(months, default=12) + 1, int(step[1]))}
    return months


def _names(text: str, names: tuple[str, ...]) -> set[int]:
    """Expands "Friday to Monday, Wednesday" into places in a list of names."""
    found: set[int] = set()
    one = "|".join(names)
    for first, last in re.findall(rf"\b({one})\b(?: to ({one})\b)?", text):
        begin, count = names.index(first), len(names)
        length = (names.index(last) - begin) % count if last else 0
        found.update((begin + number) % count for number in range(length + 1))
    return found


def _numbers(text: str) -> set[int]:
    if steps := re.search(r"(\d+) to (\d+) in steps of (\d+)", text):
        first, last, step = (int(one) for one in steps.groups())
        return {*range(first, last + 1, step)}
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        found.update(range(int(first), int(last or first) + 1))
    return found
