"""Reads an RRULE (RFC 5545, section 3.3.10), or refuses it with a sentence on how to write it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.walls.recurrence import Frequency, Recurrence

_MAX_CHARACTERS = 1024
MOST_COUNTED = 10_000
_MOST_TIMES_WITH_POSITIONS = 24
_MOST_CHOSEN = 1000  # of COUNT with BYSETPOS
_MOST_CHOSEN_FROM = 1000  # wall times of a period
_LONGEST_INTERVAL = 1000
_LONGEST_COUNT_YEARS = 100
_LONGEST_CHOSEN_YEARS = 25  # of COUNT with BYSETPOS
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY = re.compile(rf"([+-]?[0-9]{{1,2}})?({'|'.join(_WEEKDAYS)})")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_UNTIL = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z)?)?")
_PARTS = (
    *("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS"),
    *("BYHOUR", "BYMINUTE", "WKST"),
)
_INSTEAD = {
    "BYSECOND": "BYSECOND is not read: the seconds are those of time.",
    "BYYEARDAY": "BYYEARDAY is not read: write BYMONTH and BYMONTHDAY.",
    "BYWEEKNO": "BYWEEKNO is not read: write BYMONTH and BYDAY.",
}
_FASTER = {"SECONDLY": "PT1S", "MINUTELY": "PT1M", "HOURLY": "PT1H"}


class ReadRule(NamedTuple):
    """A rule, and its UNTIL if that is an instant in UTC and not a local time."""

    rule: Recurrence
    until: datetime | None


@lru_cache(maxsize=1024)
def read_rrule(text: str, start: datetime) -> ReadRule:
    """Reads a rule whose DTSTART is a naive local time; raises ScheduleError."""
    parts = _split(text)
    frequency = _frequency(parts)
    months = frozenset(_numbers(parts, "BYMONTH", 1, 12))
    month_days = frozenset(_numbers(parts, "BYMONTHDAY", -31, 31))
    weekdays = frozenset(_weekdays(parts, frequency))
    positions = tuple(_numbers(parts, "BYSETPOS", -366, 366))
    if frequency is Frequency.WEEKLY and month_days:
        raise _bad("BYMONTHDAY does not go with FREQ=WEEKLY: write FREQ=MONTHLY.")
    if positions and not any(one.startswith("BY") and one != "BYSETPOS" for one in parts):
        raise _bad("BYSETPOS needs another BY part, from whose matches it chooses.")
    if not (month_days or weekdays):
        months, month_days, weekdays = _of_start(frequency, months, start)
    times = _times(parts, start)
    if positions and len(times) > _MOST_TIMES_WITH_POSITIONS:
        raise _bad(
            f"With BYSETPOS, BYHOUR and BYMINUTE may name {_MOST_TIMES_WITH_POSITIONS} times a day."
        )
    until, in_utc = _until(parts)
    rule = Recurrence(
        start=start,
        frequency=frequency,
        interval=_number(parts, "INTERVAL", 1, _LONGEST_INTERVAL) or 1,
        months=months,
        month_days=month_days,
        weekdays=weekdays,
        times=times,
        positions=positions,
        week_start=_week_start(parts),
        number=_number(parts, "COUNT", 1, MOST_COUNTED),
        until=None if in_utc else until,
    )
    _refuse_many_to_choose_from(rule)
    if next(rule.walk_from(start), None) is None:
        raise _bad(
            "rrule never matches in 50 years: no month has such a day, BYSETPOS is beyond the"
            " days and times of a period, or UNTIL is before time."
        )
    if rule.number is not None:
        rule = replace(rule, last=_last_of(rule, rule.number))
    return ReadRule(rule, until if in_utc else None)


def _refuse_many_to_choose_from(rule: Recurrence) -> None:
    if rule.positions and rule.most_in_period > _MOST_CHOSEN_FROM:
        raise _bad(
            f"BYSETPOS chooses from at most {_MOST_CHOSEN_FROM} times of a period: name fewer days"
            " or times of day, or a shorter FREQ."
        )


def _last_of(rule: Recurrence, number: int) -> datetime:
    """Finds the last wall time of COUNT, near enough for a quick search."""
    if rule.positions and number > _MOST_CHOSEN:
        raise _bad(
            f"With BYSETPOS, COUNT may be {_MOST_CHOSEN} at most: write less, or UNTIL instead."
        )
    years = _LONGEST_CHOSEN_YEARS if rule.positions else _LONGEST_COUNT_YEARS
    last = rule.find(number, last_year=rule.start.year + years)
    if last is None:
        such = "With BYSETPOS, COUNT" if rule.positions else "COUNT"
        raise _bad(
            f"{such} must end within {years} years of time, and before the year 9001: write a"
            " smaller COUNT, or UNTIL instead."
        )
    return last


def plain_rule(text: str) -> str:
    """Writes a rule in upper case, without RRULE: before it and semicolons at its end."""
    return text.strip().upper().removeprefix("RRULE:").rstrip(";")


def _split(text: str) -> Mapping[str, str]:
    if len(text) > _MAX_CHARACTERS or not text.isascii():
        raise _bad(f"rrule must be at most {_MAX_CHARACTERS} plain ASCII characters.")
    upper = plain_rule(text)
    if "\n" in upper or "DTSTART" in upper or "EXDATE" in upper:
        raise _bad("Write the RRULE alone: its DTSTART is time, and its EXDATEs are except.")
    if "=" not in upper:
        raise _bad("rrule is a rule such as FREQ=WEEKLY;BYDAY=MO. Write a line of cron as cron.")
    pairs = [one.partition("=") for one in upper.split(";")]
    parts = {name: value for name, _, value in pairs}
    for name in parts:
        if name not in _PARTS:
            raise _bad(_INSTEAD.get(name, f"rrule has these parts: {', '.join(_PARTS)}."))
    if len(parts) < len(pairs) or not all(parts.values()):
        raise _bad("Write each part of rrule once, with a value, such as FREQ=WEEKLY;BYDAY=MO.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise _bad("rrule may have COUNT or UNTIL, not both.")
    return parts


def _frequency(parts: Mapping[str, str]) -> Frequency:
    name = parts.get("FREQ", "")
    if name in _FASTER:
        raise _bad(
            "FREQ may be DAILY, WEEKLY, MONTHLY or YEARLY. For less, write an interval, such as"
            f" {_FASTER[name]}, instead of rrule."
        )
    if name not in Frequency.__members__:
        raise _bad("rrule needs FREQ=DAILY, WEEKLY, MONTHLY or YEARLY.")
    return Frequency(name)


def _of_start(
    frequency: Frequency, months: frozenset[int], start: datetime
) -> tuple[frozenset[int], frozenset[int], frozenset[tuple[int, int]]]:
    """Takes the day from the start where the rule names none."""
    match frequency:
        case Frequency.YEARLY:
            return months or frozenset({start.month}), frozenset({start.day}), frozenset()
        case Frequency.MONTHLY:
            return months, frozenset({start.day}), frozenset()
        case Frequency.WEEKLY:
            return months, frozenset(), frozenset({(start.weekday(), 0)})
        case Frequency.DAILY:
            return months, frozenset(), frozenset()


def _times(parts: Mapping[str, str], start: datetime) -> tuple[int, ...]:
    hours = _numbers(parts, "BYHOUR", 0, 23) or [start.hour]
    minutes = _numbers(parts, "BYMINUTE", 0, 59) or [start.minute]
    named = {hour * 3600 + minute * 60 + start.second for hour in hours for minute in minutes}
    return tuple(sorted(named))


def _numbers(parts: Mapping[str, str], name: str, first: int, last: int) -> list[int]:
    if name not in parts:
        return []
    numbers = parts[name].split(",")
    if not all(_NUMBER.fullmatch(one) for one in numbers):
        raise _bad(f"{name} must be numbers, separated by commas.")
    found = [int(one) for one in numbers]
    if not all(first <= one <= last and (one or first == 0) for one in found):
        but = ", but not 0" if first < 0 else ""
        raise _bad(f"{name} must be from {first} to {last}{but}.")
    return found


def _number(parts: Mapping[str, str], name: str, first: int, last: int) -> int | None:
    found = _numbers(parts, name, first, last)
    if len(found) > 1:
        raise _bad(f"{name} must be one number.")
    return found[0] if found else None


def _weekdays(parts: Mapping[str, str], frequency: Frequency) -> list[tuple[int, int]]:
    if "BYDAY" not in parts:
        return []
    found = [_WEEKDAY.fullmatch(one) for one in parts["BYDAY"].split(",")]
    days = [(_WEEKDAYS.index(one[2]), int(one[1] or 0)) for one in found if one is not None]
    most = 53 if frequency is Frequency.YEARLY and "BYMONTH" not in parts else 5
    if len(days) < len(found) or any(
        one is not None and one[1] is not None and not int(one[1]) for one in found
    ):
        raise _bad(
            "BYDAY must be days of two letters, such as MO,WE or, in a month or a year, 1MO,-1FR."
        )
    if any(place for _, place in days) and frequency in {Frequency.DAILY, Frequency.WEEKLY}:
        raise _bad("A BYDAY with a place, such as -1FR, needs FREQ=MONTHLY or YEARLY.")
    if any(abs(place) > most for _, place in days):
        raise _bad(f"The place of a BYDAY must be from -{most} to {most}.")
    return days


def _week_start(parts: Mapping[str, str]) -> int:
    name = parts.get("WKST", "MO")
    if name not in _WEEKDAYS:
        raise _bad(f"WKST must be one of {', '.join(_WEEKDAYS)}.")
    return _WEEKDAYS.index(name)


def _until(parts: Mapping[str, str]) -> tuple[datetime | None, bool]:
    """Returns UNTIL, and whether it is in UTC; a date alone lasts until its end."""
    if "UNTIL" not in parts:
        return None, False
    found = _UNTIL.fullmatch(parts["UNTIL"])
    if found is not None:
        day, time, zone = found.groups()
        try:
            at = datetime.strptime(day + (time or "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007
        except ValueError:
            pass
        else:
            if time is None:
                return at + timedelta(days=1, seconds=-1), False
            return (at.replace(tzinfo=UTC), True) if zone else (at, False)
    raise _bad("UNTIL has no dashes and colons: write 20301231 or 20301231T090000Z.")


def _bad(message: str) -> ScheduleError:
    return ScheduleError(message, field="rrule")
