"""Computes the dates of all-day events, for as many years ahead as fit in a calendar."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import NamedTuple

from event_trigger.calendars.ics.blocks import BadFile
from event_trigger.calendars.ics.events import AllDayEvent
from event_trigger.instants import FIRST_YEAR
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.walls.cron import LONGEST_SEARCH_YEARS
from event_trigger.triggers.schedule.walls.recurrence import Frequency, Recurrence
from event_trigger.triggers.schedule.walls.rrule import MOST_COUNTED, read_rrule

MOST_DAYS_WALKED = 100_000  # 1 s, as many as twelve daily rules look at
COST_OF_NAMED_DAY = 1 / 30  # of a day that is only walked
YEARS_AHEAD = 20
MOST_DATES = 2000
_MOST_DAYS_NAMED = 50_000  # of all events of a file, before the same ones count once
_COUNT = re.compile(r";?COUNT=(\d{1,9})(?=;|$)", re.IGNORECASE)
_MONTHS = 12
_LONGEST_SEARCH = timedelta(days=LONGEST_SEARCH_YEARS * 366)
_COST_OF_DAY: Mapping[Frequency, float] = {
    Frequency.DAILY: 1,
    Frequency.WEEKLY: 1 / 3,
    Frequency.MONTHLY: 1 / 5,
    Frequency.YEARLY: 1 / 5,
}


@dataclass(slots=True)
class Walk:
    """The days that are walked already; a day of a rule that takes less time counts in part."""

    days: float = 0.0

    def spend(self, days: float) -> None:
        """Raises BadFile if there are too many."""
        self.days += max(0.0, days)
        if self.days > MOST_DAYS_WALKED:
            raise BadFile(
                "There are too many recurring events, or they recur too seldom after their"
                " DTSTART; those of other calendars in the request count, too. Leave some out, or"
                " write a DTSTART on which the event happens."
            )


class Expansion(NamedTuple):
    """Dates, ascending. They are all there are, or else complete until `covers_until`."""

    dates: tuple[date, ...]
    covers_until: date | None


class _Series(NamedTuple):
    """The dates of a recurring event, and whether there are later ones."""

    dates: frozenset[date]
    goes_on: bool


def expand(events: Iterable[AllDayEvent], *, year: int, walk: Walk | None = None) -> Expansion:
    """Computes the dates, as they are in a year: recurring events begin with the year before.

    1. Takes the dates that events name as they are.
    2. Walks the rules of the others until the end of the last of YEARS_AHEAD years.
    3. If there are too many dates, leaves out the last years, except for the present and the next.

    `walk` is that of all files of a request. Raises BadFile.
    """
    walk = Walk() if walk is None else walk
    replaced = _replaced(events := tuple(events))
    single = _single_dates(events)
    first, last = date(year - 1, 1, 1), _end_of(year + YEARS_AHEAD)
    series = list[_Series]()
    for one in events:
        if one.rule is not None:
            rule, number = _read_rule(one, walk)
            since = one.start if number is not None else max(first, one.start)
            walk.spend(_cost_of(rule, since, last))
            series.append(_series(one, rule, number, replaced, walk, first=first, last=last))
    recurring = frozenset(day for one in series for day in one.dates)
    return _fitting(single, recurring, year, goes_on=any(one.goes_on for one in series))


def _fitting(
    single: frozenset[date], recurring: frozenset[date], year: int, *, goes_on: bool
) -> Expansion:
    """Keeps as many years of recurring dates as fit beside those of single events."""
    for last_year in range(year + YEARS_AHEAD, year, -1):
        last = _end_of(last_year)
        dates = single | {one for one in recurring if one <= last}
        if len(dates) <= MOST_DATES:
            is_cut = goes_on or any(one > last for one in recurring)
            return Expansion(tuple(sorted(dates)), last if is_cut else None)
    raise _too_many()


def _replaced(events: Iterable[AllDayEvent]) -> Mapping[str, set[date]]:
    """Returns the occurrences that other events of the file stand for, by their `uid`."""
    found: dict[str, set[date]] = {}
    for one in events:
        if one.replaces is not None:
            found.setdefault(one.uid, set()).add(one.replaces)
    return found


def _single_dates(events: Iterable[AllDayEvent]) -> frozenset[date]:
    """Leaves out dates before the first year, on which nothing was ever planned."""
    found, named = set[date](), 0
    for one in events:
        starts = [each for each in _single_starts(one) if each.year >= FIRST_YEAR]
        named += one.days * len(starts)
        if named > _MOST_DAYS_NAMED:
            raise _too_many()
        found.update(day for start in starts for day in _of(one, start))
    return frozenset(found)


def _single_starts(event: AllDayEvent) -> frozenset[date]:
    """Returns the dates that the event names, apart from those of its rule."""
    own = {event.start} if event.rule is None else set[date]()
    return frozenset(own | event.added) - event.excluded


def _of(event: AllDayEvent, start: date) -> Iterator[date]:
    return (start + timedelta(days=passed) for passed in range(event.days))


def _series(
    event: AllDayEvent,
    rule: Recurrence,
    number: int | None,
    replaced: Mapping[str, set[date]],
    walk: Walk,
    *,
    first: date,
    last: date,
) -> _Series:
    """Walks a rule from the first year on; one that is counted, from its start."""
    left_out = event.excluded | (replaced.get(event.uid, set()) if event.uid else set())
    reaching_in = _midnight(first - timedelta(days=event.days))
    since = rule.start if number is not None else max(rule.start, reaching_in)
    found, goes_on = set[date](), False
    for wall in islice(rule.walk_from(since), number):
        if wall.date() > last:
            goes_on = True
            walk.spend(_cost_of(rule, last, wall.date()))
            break
        if wall.date() not in left_out:
            walk.spend(event.days * COST_OF_NAMED_DAY)
            found.update(_of(event, wall.date()))
    return _Series(frozenset(one for one in found if first <= one <= last), goes_on)


def _read_rule(event: AllDayEvent, walk: Walk) -> tuple[Recurrence, int | None]:
    """Reads a rule and its COUNT, which is apart: so the walk ends after the last year.

    Reading walks to the first match, which may be decades after the start, or nowhere.
    """
    assert event.rule is not None
    counted = _COUNT.search(event.rule)
    walk.spend(0)
    try:
        rule, until = read_rrule(_COUNT.sub("", event.rule).strip(";"), _midnight(event.start))
    except ScheduleError as error:
        walk.days += _LONGEST_SEARCH.days
        raise BadFile(error.message, line=event.line) from None
    number = None if counted is None else int(counted[1])
    if number is not None and not 1 <= number <= MOST_COUNTED:
        raise BadFile(f"COUNT must be from 1 to {MOST_COUNTED}.", line=event.line)
    if until is not None:
        rule = replace(rule, until=datetime.combine(until.date(), time.max))
    matched = next(rule.walk_from(rule.start), None)
    found = event.start + _LONGEST_SEARCH if matched is None else matched.date()
    walk.spend(_cost_of(rule, event.start, found))
    return rule, number


def _cost_of(rule: Recurrence, since: date, until: date) -> float:
    """Estimates the work of a walk by the days that it looks at."""
    end = until if rule.until is None else min(until, rule.until.date())
    is_yearly = rule.frequency is Frequency.YEARLY and rule.months
    share = len(rule.months) / _MONTHS if is_yearly else 1.0
    return max(0.0, (end - since).days * share / rule.interval * _COST_OF_DAY[rule.frequency])


def _too_many() -> BadFile:
    return BadFile(
        f"A calendar has at most {MOST_DATES} dates, and this file has more until the end of next"
        " year. For days of the week, write a cron such as 0 9 * * mon-fri instead."
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _end_of(year: int) -> date:
    return date(year, _MONTHS, 31)
