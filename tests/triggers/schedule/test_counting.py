"""Counting instants gives the same as walking them."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.canonical import canonical
from event_trigger.triggers.schedule.details import Resolved, schedule_from
from event_trigger.triggers.schedule.schedules import (
    InstantRange,
    Schedule,
    count_in,
    first_of_newest,
    instants_in,
    latest_fire_in,
    next_fire_at_or_after,
    range_in,
)
from tests.support.schedules import cron, every, once
from tests.support.steps import steps_of

DAY = timedelta(days=1)
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
CRONS = (
    *("*/20 * * * *", "0 * * * *", "30 2 * * *", "0 0 * * *", "15 1,2,3 * * 0", "30 0 * * *"),
    *("*/7 */5 1-10 * 1", "59 23 * 3,10 *", "0 12 31 * *", "0 0 29 2 *", "* 0-3 1-7 * *"),
)

instants = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001
    datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@st.composite
def schedules(draw: st.DrawFn, start: datetime) -> Schedule:
    until = draw(st.none() | st.just(start + draw(st.timedeltas(-DAY, 9 * DAY))))
    match draw(st.sampled_from([once, every, cron])):
        case kind if kind is once:
            return once(start + draw(st.timedeltas(-DAY, 9 * DAY)))
        case kind if kind is every:
            interval = draw(st.timedeltas(timedelta(minutes=7), 5 * DAY))
            return every(start + draw(st.timedeltas(-9 * DAY, 9 * DAY)), interval, until)
        case _:
            return cron(draw(st.sampled_from(CRONS)), draw(st.sampled_from(ZONES)), until)


@st.composite
def spans(draw: st.DrawFn) -> tuple[Schedule, datetime, datetime]:
    since = draw(instants)
    until = since + draw(st.timedeltas(-DAY, 9 * DAY))
    return draw(schedules(since)), since, until


@st.composite
def starts_of_repeated_hours(draw: st.DrawFn) -> tuple[zoneinfo.ZoneInfo, datetime]:
    """Draws a zone, and an instant around one at which its clocks are put back."""
    zone = zoneinfo.ZoneInfo(draw(st.sampled_from(ZONES)))
    year = datetime(draw(st.integers(1980, 2035)), 1, 1, tzinfo=UTC)
    hours = [year + timedelta(hours=one) for one in range(366 * 24)]
    back = [two for one, two in pairwise(hours) if _offset(two, zone) < _offset(one, zone)]
    assume(back)
    minutes = draw(st.integers(-90, 90))
    return zone, draw(st.sampled_from(back)) + timedelta(minutes=minutes)


def _offset(instant: datetime, zone: zoneinfo.ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


@settings(max_examples=60, deadline=None)
@given(starts_of_repeated_hours(), st.sampled_from([{"interval": "P1D"}, {"rrule": "FREQ=DAILY"}]))
def test_a_schedule_begins_at_its_time_in_repeated_hours_too(
    start: tuple[zoneinfo.ZoneInfo, datetime], rule: dict[str, Any]
) -> None:
    zone, time = start
    sent = {"time": time.isoformat(), "timezone": zone.key, "recurring": True, **rule}
    details = canonical(sent)
    schedule, until = schedule_from(details, anchor=time), time + 3 * DAY

    found = [*instants_in(schedule, since=time - 3 * DAY, until=until)]

    assert found[0] == time
    assert len(found) in {3, 4}
    assert count_in(schedule, since=time - 3 * DAY, until=until) == len(found)
    assert canonical(details) == details


def walked(schedule: Schedule, since: datetime, until: datetime) -> list[datetime]:
    found = []
    while (instant := next_fire_at_or_after(schedule, since)) is not None and instant < until:
        found.append(instant)
        since = just_after(instant)
    return found


@given(span=spans(), most=st.integers(1, 40))
def test_counting_finds_what_walking_does(
    span: tuple[Schedule, datetime, datetime], most: int
) -> None:
    schedule, since, until = span
    expected = walked(schedule, since, until)

    assert list(instants_in(schedule, since=since, until=until)) == expected
    assert count_in(schedule, since=since, until=until) == len(expected)
    newest = first_of_newest(schedule, since=since, until=until, most=most)
    assert newest == next(iter(expected[-most:]), None)
    found = range_in(schedule, since=since, until=until)
    assert found == (InstantRange(expected[0], expected[-1], len(expected)) if expected else None)
    assert all(earlier < later for earlier, later in pairwise(expected))


@settings(max_examples=30)
@given(
    zone=st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]),
    line=st.sampled_from(CRONS),
    since=instants,
    cut=st.timedeltas(timedelta(0), 800 * DAY),
)
def test_the_counts_of_two_parts_are_that_of_the_whole(
    zone: str, line: str, since: datetime, cut: timedelta
) -> None:
    schedule, until = cron(line, zone), since + 800 * DAY

    parts = [
        count_in(schedule, since=since, until=since + cut),
        count_in(schedule, since=since + cut, until=until),
    ]

    assert sum(parts) == count_in(schedule, since=since, until=until)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (every(datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)), 221_876_755_200),
        (once(datetime(8999, 1, 1, tzinfo=UTC)), 1),
    ],
)
def test_thousands_of_years_are_counted_without_a_walk(schedule: Schedule, expected: int) -> None:
    since, until = datetime(1970, 1, 1, tzinfo=UTC), datetime(9001, 1, 1, tzinfo=UTC)

    found = count_in(schedule, since=since, until=until)

    assert found == pytest.approx(expected, rel=1e-3)


def test_ten_years_of_minutes_are_as_many_as_there_are() -> None:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)

    found = count_in(cron("* * * * *", "Europe/Berlin"), since=start, until=end)

    assert found == (end - start) // timedelta(minutes=1)


@pytest.mark.parametrize(
    "details",
    [
        {"cron": "0 9 * * *", "timezone": "Europe/Berlin"},
        {"rrule": "FREQ=DAILY", "time": "2020-01-01T09:00:00", "timezone": "Europe/Berlin"},
        {"time": "2020-01-01T09:00:00Z", "interval": "PT1H", "recurring": True},
    ],
)
def test_a_run_of_exceptions_is_one_step(details: dict[str, Any]) -> None:
    first, number = date(2026, 3, 1), 4000
    days = tuple(range((first - date(1970, 1, 1)).days, (first - date(1970, 1, 1)).days + number))
    excepted = {**details, "except": [{"calendar": "closed"}]}
    schedule = schedule_from(
        excepted, anchor=datetime(2026, 1, 1, tzinfo=UTC), resolved=Resolved(days)
    )
    since, until = datetime(2026, 2, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)
    found: list[datetime | None] = []

    def search() -> None:
        found.append(next_fire_at_or_after(schedule, datetime(2026, 5, 1, tzinfo=UTC)))
        found.append(latest_fire_in(schedule, since=since, until=until))

    steps = steps_of(search)

    assert [one and one.date() for one in found] == [first + timedelta(number), date(2026, 2, 28)]
    assert steps < 8000
