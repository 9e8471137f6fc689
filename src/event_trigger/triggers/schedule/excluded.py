"""Reads the local dates on which a schedule has no instant, and passes over them."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from event_trigger.triggers.schedule.errors import ScheduleError

MOST_EXCEPTIONS = 1000
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_SECOND = time(23, 59, 59)


class Days(tuple[int, ...]):
    """Days since 1970-01-01, ascending, that are hashed once: they are in the keys of caches."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()


@dataclass(frozen=True, slots=True)
class PassedDates:
    """Excluded local dates, sorted, whose wall times need no instants, as those have their date.

    A date is not among them if the clocks change at its end: a gap may lead to the next date.
    """

    dates: Sequence[date]
    zone: ZoneInfo

    def __contains__(self, day: object) -> bool:
        if not isinstance(day, date) or place_of(day, self.dates) is None:
            return False
        return _ends_evenly(day, self.zone)


@lru_cache(maxsize=16_384)  # many triggers of a zone have the same holidays
def _ends_evenly(day: date, zone: ZoneInfo) -> bool:
    last = datetime.combine(day, _LAST_SECOND, zone)
    return last.utcoffset() == last.replace(fold=1).utcoffset()


def excluded_dates(details: Mapping[str, Any], days: tuple[int, ...]) -> tuple[date, ...]:
    """Merges the dates that the details name, and those of their calendars."""
    named = details.get("except") or ()
    if len(named) > MOST_EXCEPTIONS:
        message = f"except has at most {MOST_EXCEPTIONS} dates. Put more of them in calendars."
        raise ScheduleError(message, field="except")
    texts = tuple(one for one in named if isinstance(one, str))
    if len(texts) == len(named):  # an older replica may have left days behind
        return _dates_of(texts, ())
    if any(not isinstance(one, str | Mapping) for one in named):
        raise _bad_date()
    return _dates_of(texts, days)


def place_of(day: date, days: Sequence[date]) -> int | None:
    """Returns the place of a date among sorted ones; None if it is none of them."""
    place = bisect_left(days, day)
    return place if place < len(days) and days[place] == day else None


def last_of_run(days: Sequence[date], place: int) -> int:
    """Returns the place of the last of the consecutive dates from one on; takes few steps."""
    low, high = place, len(days) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if (days[middle] - days[place]).days == middle - place:
            low = middle
        else:
            high = middle - 1
    return low


def first_of_run(days: Sequence[date], place: int) -> int:
    """Returns the place of the first of the consecutive dates up to one."""
    low, high = 0, place
    while low < high:
        middle = (low + high) // 2
        if (days[place] - days[middle]).days == place - middle:
            high = middle
        else:
            low = middle + 1
    return low


@lru_cache(maxsize=64)  # many triggers have the same holidays
def _dates_of(texts: tuple[str, ...], days: tuple[int, ...]) -> tuple[date, ...]:
    found = {_date(one) for one in texts}
    found.update(date.fromordinal(_EPOCH_DAY + one) for one in days)
    return tuple(sorted(found))


@lru_cache(maxsize=4096)
def _date(text: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # there is no such date
    raise _bad_date()


def _bad_date() -> ScheduleError:
    message = 'except has dates such as "2026-12-25", and calendars such as {"calendar": "key"}.'
    return ScheduleError(message, field="except")
