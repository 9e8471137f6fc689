"""Excluded dates are passed over quickly, and only instants of those local dates are left out."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.schedules import (
    Schedule,
    count_in,
    instants_in,
    latest_fire_in,
    next_fire_at_or_after,
    zone_of,
)
from tests.support.steps import steps_of

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=60)
ZONES = ("Europe/Berlin", "America/Nuuk", "America/Santiago", "Africa/Cairo", "Asia/Beirut", "UTC")
KINDS: list[dict[str, Any]] = [
    {"cron": "30 23 * * *"},
    {"cron": ["*/40 * * * *", "30 0 * * *"]},
    {"time": "2025-12-31T23:30:00", "interval": "P1D", "recurring": True},
    {"time": "2025-12-31T00:30:00", "interval": "P1M", "recurring": True},
    {"time": "2025-12-31T00:30:00", "rrule": "FREQ=DAILY;BYHOUR=0,23"},
    {"time": "2025-12-31T00:30:00", "rrule": "FREQ=WEEKLY;BYDAY=SA,SU;BYSETPOS=1"},
]
SCATTERED = [str(date(2026, 3, 1) + timedelta(days=one)) for one in range(60) if one % 5 < 2]


def read(details: dict[str, Any], *excluded: str) -> Schedule:
    return schedule_from({**details, "except": [*excluded]}, anchor=SINCE)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("details", KINDS, ids=range(len(KINDS)))
def test_instants_of_other_dates_stay(details: dict[str, Any], zone: str) -> None:
    details = {**details, "timezone": zone}
    schedule, whole = read(details, *SCATTERED), read(details)

    found = [*instants_in(schedule, since=SINCE, until=UNTIL)]

    others = [
        one
        for one in instants_in(whole, since=SINCE, until=UNTIL)
        if str(one.astimezone(zone_of(whole)).date()) not in SCATTERED
    ]
    assert found == others
    assert count_in(schedule, since=SINCE, until=UNTIL) == len(others)
    assert latest_fire_in(schedule, since=SINCE, until=UNTIL) == next(reversed(others), None)


def test_a_local_time_that_a_gap_moves_to_the_next_date_has_that_date() -> None:
    details = {"cron": "30 23 * * 6", "timezone": "America/Nuuk"}  # 23:00 to midnight on March 28

    schedule = read(details, "2026-03-21", "2026-03-28")

    moved = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert next_fire_at_or_after(schedule, datetime(2026, 3, 20, tzinfo=UTC)) == moved


def test_a_clock_that_goes_back_past_midnight_never_leads_back() -> None:
    details = {"cron": "*/10 * * * *", "timezone": "America/St_Johns"}  # from 00:01 to 23:01
    since = datetime(2010, 11, 6, 12, tzinfo=UTC)

    found = [
        *instants_in(read(details, "2010-11-06"), since=since, until=since + timedelta(days=1))
    ]

    assert found[:2] == [
        datetime(2010, 11, 7, 2, 30, tzinfo=UTC),
        datetime(2010, 11, 7, 3, 30, tzinfo=UTC),
    ]


MONDAYS = [str(date(2026, 3, 2) + timedelta(weeks=week)) for week in range(1000)]
ON_MONDAYS: list[dict[str, Any]] = [
    {"cron": "30 9 * * 1"},
    {"cron": "* * * * 1"},
    {"time": "2026-03-02T09:00:00", "interval": "P1W", "recurring": True},
    {"time": "2026-03-02T09:00:00", "rrule": "FREQ=WEEKLY;BYDAY=MO"},
    {"time": "2026-03-02T09:00:00", "rrule": "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1"},
]


@pytest.mark.parametrize("details", ON_MONDAYS, ids=range(len(ON_MONDAYS)))
def test_a_thousand_excluded_instants_take_few_steps(details: dict[str, Any]) -> None:
    schedule = read({**details, "timezone": "Europe/Berlin"}, *MONDAYS)
    found: list[datetime | None] = []

    steps = steps_of(lambda: found.append(next_fire_at_or_after(schedule, SINCE)))

    assert found[0] is not None
    assert str(found[0].astimezone(zone_of(schedule)).date()) in ("2045-05-01", "2045-05-02")
    assert steps < 50_000
