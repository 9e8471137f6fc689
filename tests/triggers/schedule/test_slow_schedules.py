"""The arithmetic of schedules agrees with a slow reference, for thousands of random schedules.

`EVENT_TRIGGER_TEST_SCHEDULES=10000` compares so many instead of some hundred: see CONTRIBUTING.md.
"""

import os
import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.schedules import (
    InstantRange,
    Schedule,
    count_in,
    first_of_newest,
    instants_in,
    is_excepted,
    latest_fire_in,
    next_fire_at_or_after,
    range_in,
)
from event_trigger.triggers.schedule.zones import read_rules
from tests.support.slow_schedules import (
    Rule,
    civil_rule,
    clock_changes,
    cron_rule,
    instants_of,
    recurrence_rule,
)

EXAMPLES = int(os.environ.get("EVENT_TRIGGER_TEST_SCHEDULES", "0"))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
COMPARED = 3  # instants of each schedule
FIRST_YEAR, LAST_YEAR = 2019, 2031
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
CHANGING = (  # at midnight, by half an hour, before midnight, by law of the same week
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"),
    *("Africa/Cairo", "Asia/Beirut", "America/Nuuk", "America/Havana", "Africa/Casablanca"),
    *("Antarctica/Troll", "Asia/Gaza", "Pacific/Norfolk"),
)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class Case(NamedTuple):
    """A schedule, as details and as rules of the reference, and an instant to begin at."""

    details: dict[str, Any]
    rules: Callable[[], list[Rule]]
    zone: ZoneInfo
    since: datetime


@st.composite
def moments(draw: st.DrawFn) -> tuple[ZoneInfo, datetime, datetime]:
    """Draws a zone, a local time near a clock change of it, and an instant some hours earlier."""
    timezone = draw(st.sampled_from(CHANGING) | st.sampled_from(ZONES))
    zone = read_rules(timezone).zone
    naive = st.datetimes(datetime(FIRST_YEAR, 1, 1), datetime(LAST_YEAR, 1, 1))  # noqa: DTZ001
    at = draw(naive.map(lambda one: one.replace(tzinfo=UTC)))
    is_near: bool = draw(st.sampled_from((True, True, True, False)))
    if is_near and (near := clock_changes(timezone, FIRST_YEAR, LAST_YEAR)):
        at = draw(st.sampled_from(near))
    wall = (at - MINUTE).astimezone(zone).replace(tzinfo=None, fold=0, second=0, microsecond=0)
    wall += draw(st.integers(0, 90)) * MINUTE
    since = at - draw(st.timedeltas(timedelta(0), 30 * HOUR))
    return zone, wall, since


def terms(
    now: int, lowest: int, highest: int, more: tuple[str, ...] = ()
) -> st.SearchStrategy[str]:
    """Draws a term of a field; it is often the number of now."""
    number = st.just(now) | st.integers(lowest, highest)
    step = st.integers(1, 12)
    return st.one_of(
        st.just(str(now)),
        number.map(str),
        st.tuples(number, number).map("{0[0]}-{0[1]}".format),
        st.tuples(number, number, step).map("{0[0]}-{0[1]}/{0[2]}".format),
        st.tuples(number, step).map("{0[0]}/{0[1]}".format),
        step.map("*/{}".format),
        *([st.sampled_from(more)] if more else []),
    )


def fields(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("*") | one | st.lists(one, min_size=1, max_size=3).map(",".join)


@st.composite
def lines(draw: st.DrawFn, wall: datetime) -> str:
    weekday = wall.isoweekday()
    of_month = ("?", "L", "LW", f"{wall.day}W", "1W", "31W")
    of_week = ("?", f"{weekday}L", f"{weekday}#{(wall.day + 6) // 7}", "0-7", "FRI-MON", "7")
    drawn = [
        draw(fields(terms(wall.minute, 0, 59))),
        draw(fields(terms(wall.hour, 0, 23))),
        draw(fields(terms(wall.day, 1, 31, of_month))),
        draw(fields(terms(wall.month, 1, 12, ("OCT-MAR", "jan,jul")))),
        draw(fields(terms(weekday, 0, 7, of_week))),
    ]
    return draw(st.sampled_from((" ", "\t", "  "))).join(drawn)


@st.composite
def crons(draw: st.DrawFn) -> Case:
    zone, wall, since = draw(moments())
    drawn = draw(st.lists(lines(wall), min_size=1, max_size=3))
    cron = drawn[0] if len(drawn) == 1 else drawn
    details = {"cron": cron, "timezone": zone.key}
    return Case(details, lambda: [cron_rule(one) for one in drawn], zone, since)


@st.composite
def starts(draw: st.DrawFn, wall: datetime) -> datetime:
    """Draws a start: a local time, some days or years earlier, often at a month's end."""
    start = wall - draw(st.integers(0, 4000)) * DAY
    return (
        start.replace(day=draw(st.sampled_from((start.day, 28))))
        + draw(st.sampled_from((0, 0, 1, 2, 3))) * DAY
    )


@st.composite
def civil_intervals(draw: st.DrawFn) -> Case:
    zone, wall, since = draw(moments())
    start = draw(starts(wall))
    unit, number = draw(st.sampled_from("DWMY")), draw(st.integers(1, 9))
    details: dict[str, Any] = {
        "time": start.isoformat(),
        "interval": f"P{number}{unit}",
        "recurring": True,
        "timezone": zone.key,
    }
    if unit in "DW":
        rule = civil_rule(start, days=number * (7 if unit == "W" else 1))
    else:
        end = draw(st.sampled_from((None, "last", "skip")))
        details |= {} if end is None else {"month_end": end}
        rule = civil_rule(start, months=number * (12 if unit == "Y" else 1), skip=end == "skip")
    return Case(details, lambda: [rule], zone, since)


@st.composite
def recurrence_texts(draw: st.DrawFn, wall: datetime) -> str:
    frequency = draw(st.sampled_from(("DAILY", "WEEKLY", "MONTHLY", "YEARLY")))
    parts = [f"FREQ={frequency}"]

    def some(name: str, values: st.SearchStrategy[Any], most: int = 3) -> None:
        if draw(st.booleans()):
            drawn = draw(st.lists(values, min_size=1, max_size=most, unique=True))
            parts.append(f"{name}={','.join(map(str, drawn))}")

    some("INTERVAL", st.integers(1, 5), 1)
    some("BYMONTH", st.just(wall.month) | st.integers(1, 12))
    if frequency != "WEEKLY":
        some("BYMONTHDAY", st.just(wall.day) | st.integers(1, 31) | st.integers(-31, -1))
    days = st.just(DAYS[wall.weekday()]) | st.sampled_from(DAYS)
    # of days with and without a place, dateutil asks for both, and RFC 5545 for either
    if frequency in {"MONTHLY", "YEARLY"} and draw(st.booleans()):
        places = st.sampled_from(("1", "2", "+3", "4", "5", "-1", "-2"))
        days = st.tuples(places, days).map("".join)
    some("BYDAY", days)
    some("BYHOUR", st.just(wall.hour) | st.integers(0, 23))
    some("BYMINUTE", st.just(wall.minute) | st.integers(0, 59))
    if any(one.startswith("BY") for one in parts):
        some("BYSETPOS", st.sampled_from((1, 2, 3, -1, -2)), 2)
    some("WKST", st.sampled_from(DAYS), 1)
    end = draw(st.sampled_from(("", "", "COUNT", "UNTIL")))
    if end == "COUNT":
        parts.append(f"COUNT={draw(st.integers(1, 400))}")
    elif end:
        parts.append(f"UNTIL={wall + draw(st.integers(0, 800)) * DAY:%Y%m%dT%H%M%S}")
    first, *others = parts
    return ";".join([first, *draw(st.permutations(others))])


@st.composite
def recurrences(draw: st.DrawFn) -> Case:
    zone, wall, since = draw(moments())
    start = draw(starts(wall))
    text = draw(recurrence_texts(wall))
    details = {"rrule": text, "time": start.isoformat(), "timezone": zone.key}
    last = date(since.year + 7, 1, 1)
    return Case(details, lambda: [recurrence_rule(text, start, last)], zone, since)


@st.composite
def bounded(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    """Adds bounds near the beginning to some cases."""
    case = draw(cases)
    near = st.timedeltas(-40 * HOUR, 60 * DAY).map(lambda one: case.since + one)
    details = dict(case.details)
    if draw(st.booleans()):
        details["from"] = draw(near)
    if draw(st.booleans()):
        details["until"] = max(draw(near) + 30 * DAY, details.get("from", case.since))
    if draw(st.booleans()):
        dates = st.integers(-2, 30).map(lambda one: case.since.date() + one * DAY)
        details["except"] = [one.isoformat() for one in draw(st.lists(dates, max_size=9))]
    return case._replace(details=details)


def expected_of(case: Case, shift: timedelta) -> list[datetime]:
    """Takes some instants of the reference, within the bounds."""
    begin = max(case.since, case.details.get("from", case.since))
    instants = instants_of(case.rules(), case.zone, begin)
    found = (
        one
        for one in takewhile(lambda one: one <= case.details.get("until", one), instants)
        if one.astimezone(case.zone).date().isoformat() not in case.details.get("except", ())
    )
    return [one + shift for one in islice(found, COMPARED)]


def examples(part: float) -> settings:
    return settings(
        max_examples=round(EXAMPLES * part) or round(120 * part),
        suppress_health_check=list(HealthCheck),
    )


def read(case: Case) -> tuple[str, Schedule | None]:
    try:
        return "", schedule_from(case.details, anchor=case.since)
    except ScheduleError as refusal:
        return refusal.message, None


def refused_line(case: Case, refusal: str) -> Case:
    """Returns the case of the line that a refusal of a list names, or else the case itself."""
    named = re.match(r"Line (\d+): ", refusal)
    return case if named is None else case._replace(rules=lambda: [case.rules()[int(named[1]) - 1]])


def check(case: Case, shift: timedelta = timedelta(0)) -> None:
    """Compares everything that the arithmetic answers about a window with the reference."""
    refusal, schedule = read(case)
    if schedule is None:
        is_long = "COUNT must end within" in refusal and "COUNT=" in case.details["rrule"]
        assert " never " in refusal or is_long, refusal
        assert "rrule" in case.details or not expected_of(refused_line(case, refusal), shift)
        return
    schedule = schedule._replace(shift=shift)
    since = case.since + shift
    expected = expected_of(case, shift)
    until = just_after(expected[-1]) if expected else since + 100 * DAY

    found = instants_in(schedule, since=since, until=until)

    assert [*islice(found, COMPARED + 1)] == expected
    assert all(earlier < later for earlier, later in pairwise(expected))
    assert count_in(schedule, since=since, until=until) == len(expected)
    last = next(reversed(expected), None)
    assert latest_fire_in(schedule, since=since, until=until) == last
    if until < since + 100 * DAY:
        look_back(schedule, since, until, expected)


def look_back(
    schedule: Schedule, since: datetime, until: datetime, expected: list[datetime]
) -> None:
    """Compares the answers that take many counts."""
    whole = InstantRange(expected[0], expected[-1], len(expected)) if expected else None
    assert range_in(schedule, since=since, until=until) == whole
    newest = first_of_newest(schedule, since=since, until=until, most=2)
    assert newest == next(iter(expected[-2:]), None)
    for one in expected:
        assert next_fire_at_or_after(schedule, one) == one
        assert not is_excepted(schedule, one)


@examples(0.5)
@given(case=crons())
def test_cron_lines_fire_as_the_reference_does(case: Case) -> None:
    check(case)


@examples(0.2)
@given(case=civil_intervals())
def test_civil_intervals_fire_as_the_reference_does(case: Case) -> None:
    check(case)


@examples(0.2)
@given(case=recurrences())
def test_recurrence_rules_fire_as_the_reference_does(case: Case) -> None:
    check(case)


@examples(0.1)
@given(
    case=bounded(crons() | civil_intervals() | recurrences()),
    shift=st.integers(0, 86_399).map(lambda one: timedelta(seconds=one)),
)
def test_bounds_exclusions_and_shifts_are_those_of_the_reference(
    case: Case, shift: timedelta
) -> None:
    check(case, shift)
