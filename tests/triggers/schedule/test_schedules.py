"""Details are read as docs/schedules.md says, and the arithmetic of schedules is exact."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.bases import Once
from event_trigger.triggers.schedule.canonical import canonical
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.interval import parse_interval
from event_trigger.triggers.schedule.schedules import (
    Schedule,
    instants_in,
    is_recurring,
    latest_fire_in,
    next_fire_at_or_after,
)
from tests.support.schedules import cron, every, once

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)
EAST = timezone(timedelta(hours=14))
WEST = timezone(timedelta(hours=-14))
ANCHOR = datetime(2025, 3, 13, 10, tzinfo=UTC)
TIME = datetime(2025, 4, 1, 9, tzinfo=timezone(2 * HOUR))
UNTIL = datetime(2026, 1, 1, tzinfo=UTC)

instants = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001
    datetime(8980, 1, 1),  # noqa: DTZ001 - the next may be ten years later
    timezones=st.just(UTC),
)
intervals = st.timedeltas(SECOND, timedelta(days=3653))


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"time": TIME}, once(TIME)),
        ({"time": ANCHOR - HOUR}, once(ANCHOR - HOUR)),
        ({"interval": 30}, once(ANCHOR + 30 * MINUTE)),
        ({"interval": "PT90S"}, once(ANCHOR + 90 * SECOND)),
        ({"interval": 30, "recurring": True}, every(ANCHOR + 30 * MINUTE, 30 * MINUTE)),
        ({"time": TIME, "interval": 30, "recurring": True}, every(TIME, 30 * MINUTE)),
        ({"time": TIME, "interval": 30}, once(TIME)),
        ({"interval": 1, "recurring": True, "until": UNTIL}, every(ANCHOR + MINUTE, MINUTE, UNTIL)),
        ({"cron": "@daily"}, cron("@daily")),
        ({"cron": "@daily", "recurring": True}, cron("@daily")),
        ({"cron": "@daily", "recurring": False}, cron("@daily")),
        (
            {"cron": "0 9 * * 1-5", "timezone": "Asia/Tokyo", "until": UNTIL},
            cron("0 9 * * 1-5", "Asia/Tokyo", UNTIL),
        ),
    ],
)
def test_details_mean_a_schedule(details: dict[str, Any], expected: Schedule) -> None:
    schedule = schedule_from(details, anchor=ANCHOR)

    assert schedule == expected
    assert is_recurring(schedule) is not isinstance(expected.base, Once)


REPEATED = "2027-10-31T01:30:00Z"  # 02:30 in Berlin, the second time


@pytest.mark.parametrize(
    "rule",
    [
        {"interval": "P1D", "recurring": True},
        {"interval": "P1M", "recurring": True, "month_end": "last"},
        {"rrule": "FREQ=DAILY;COUNT=2"},
        {"rrule": "FREQ=MONTHLY;BYMONTHDAY=-1"},
    ],
)
def test_a_start_at_the_second_of_two_equal_local_times_is_the_first_instant(
    rule: dict[str, Any],
) -> None:
    details = canonical({"time": REPEATED, "timezone": "Europe/Berlin", **rule})
    schedule, start = schedule_from(details, anchor=ANCHOR), datetime.fromisoformat(REPEATED)
    days = 1 if "D" in (*rule.get("interval", ""), *rule.get("rrule", "")[5:6]) else 30

    assert [
        *instants_in(schedule, since=ANCHOR, until=start + timedelta(days=days, minutes=1))
    ] == [start, start + timedelta(days=days)]
    assert canonical(details) == details


def test_a_start_that_is_excluded_or_not_in_the_rule_is_left_out() -> None:
    zone = {"time": REPEATED, "timezone": "Europe/Berlin"}
    excluded = {**zone, "rrule": "FREQ=DAILY", "except": ["2027-10-31"]}
    other = {**zone, "rrule": "FREQ=DAILY;BYHOUR=2,9;BYMINUTE=45"}

    found = [
        next_fire_at_or_after(schedule_from(canonical(one), anchor=ANCHOR), ANCHOR)
        for one in (excluded, other)
    ]

    assert found == [
        datetime(2027, 11, 1, 1, 30, tzinfo=UTC),
        datetime(2027, 10, 31, 8, 45, tzinfo=UTC),
    ]


def test_instants_are_kept_in_utc() -> None:
    schedule = schedule_from({"time": TIME}, anchor=ANCHOR)

    assert next_fire_at_or_after(schedule, ANCHOR) == TIME
    assert isinstance(schedule.base, Once)
    assert schedule.base.at.tzinfo is UTC


@pytest.mark.parametrize(
    ("field", "details"),
    [
        (None, {}),
        (None, {"recurring": True}),
        (None, {"until": UNTIL}),
        ("recurring", {"time": TIME, "recurring": True}),
        ("cron", {"cron": "@daily", "time": TIME}),
        ("cron", {"cron": "@daily", "interval": 5}),
        ("cron", {"cron": "@daily", "interval": 5, "recurring": True}),
        ("cron", {"cron": ""}),
        ("cron", {"cron": "0 0 30 2 *"}),
        ("cron", {"cron": "0 0 0 * * *"}),
        ("timezone", {"cron": "@daily", "timezone": "Mars/Olympus"}),
        ("timezone", {"cron": "@daily", "timezone": ""}),
        (None, {"timezone": "UTC"}),
        ("until", {"time": TIME, "until": UNTIL}),
        ("until", {"interval": 5, "until": UNTIL}),
        ("until", {"cron": "@daily", "until": datetime(2026, 1, 1)}),  # noqa: DTZ001
        ("until", {"cron": "@daily", "until": datetime(9001, 1, 1, tzinfo=UTC)}),
        ("time", {"time": datetime(2026, 1, 1)}),  # noqa: DTZ001
        ("time", {"time": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)}),
        ("time", {"time": datetime(1970, 1, 1, 13, tzinfo=EAST)}),
        ("time", {"time": datetime(9000, 12, 31, 23, tzinfo=WEST)}),
        ("time", {"time": datetime(9001, 1, 1, tzinfo=UTC)}),
        ("time", {"time": datetime.min.replace(tzinfo=EAST)}),
        ("time", {"time": datetime.max.replace(tzinfo=WEST)}),
        ("interval", {"interval": 0}),
        ("interval", {"time": TIME, "interval": 0}),
    ],
)
def test_refuses_and_names_the_field(field: str | None, details: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError) as refusal:
        schedule_from(details, anchor=ANCHOR)

    assert refusal.value.field == field
    assert refusal.value.message.endswith(".")


def test_a_time_without_an_offset_is_told_so() -> None:
    with pytest.raises(ScheduleError, match="time needs an offset"):
        schedule_from({"time": datetime(2026, 1, 1)}, anchor=ANCHOR)  # noqa: DTZ001


@pytest.mark.parametrize(
    "time",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 12, tzinfo=WEST),
        datetime(9000, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(9001, 1, 1, 13, tzinfo=EAST),
    ],
)
def test_a_year_is_judged_in_utc(time: datetime) -> None:
    assert schedule_from({"time": time}, anchor=ANCHOR) == once(time)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (30, 30 * MINUTE),
        (0.1, 6 * SECOND),
        (1 / 60, SECOND),
        (0.5, 30 * SECOND),
        (3653 * 1440, timedelta(days=3653)),
        ("PT1S", SECOND),
        ("PT90S", 90 * SECOND),
        ("PT1M", MINUTE),
        ("P1DT12H", 36 * HOUR),
        ("P2W", timedelta(weeks=2)),
        ("P1W1DT1H1M1.5S", timedelta(weeks=1, days=1, hours=1, minutes=1, seconds=1.5)),
        ("PT1,5H", 90 * MINUTE),
        ("PT1.0000004S", SECOND),
        ("P3653D", timedelta(days=3653)),
    ],
)
def test_reads_an_interval(value: float | str, expected: timedelta) -> None:
    assert parse_interval(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        0.016,
        -0.5,
        math.nan,
        math.inf,
        -math.inf,
        1e308,
        5e-324,
        10**400,
        -(10**400),
        3653 * 1440 + 1,
        True,
        False,
        "",
        "P",
        "PT",
        "P1DT",
        "PT0S",
        "PT0.9S",
        "PT-1S",
        "-PT1S",
        "+PT1S",
        "P1Y",
        "P1M",
        "P1Y2M10DT2H30M",
        "P3654D",
        "PT999999999999999H",
        "PT" + "9" * 200_000 + "S",
        "P1D" * 100_000,
        "PT1S\n",
        " PT1S",
        "PT1S\x00",
        "pt1s",
        "PT1M1H",
        "PT\uff11S",
        "PT\u0661S",
        "PT.5S",
        "PT1e3S",
        "30",
        "NaN",
        "\ud800",
    ],
)
def test_refuses_an_interval(value: float | str) -> None:
    with pytest.raises(ScheduleError) as refusal:
        parse_interval(value)

    assert refusal.value.field == "interval"
    assert len(refusal.value.message) < 120


@pytest.mark.parametrize("value", ["P1Y", "P1M", "P2W3M", "P1Y1DT1M"])
def test_advises_about_years_and_months(value: str) -> None:
    with pytest.raises(ScheduleError, match=r"months or years|years or months"):
        parse_interval(value)


@settings(max_examples=200)
@given(st.integers() | st.floats() | st.text() | st.text(alphabet="P0123456789.,WDTHMSY"))
def test_an_interval_is_within_its_limits_or_refused(value: float | str) -> None:
    try:
        interval = parse_interval(value)
    except ScheduleError:
        return
    assert SECOND <= interval <= timedelta(days=3653)


@settings(max_examples=300)
@given(start=instants, interval=intervals, since=instants)
def test_a_grid_fires_at_its_first_point_from_an_instant_on(
    start: datetime, interval: timedelta, since: datetime
) -> None:
    fires_at = next_fire_at_or_after(every(start, interval), since)

    assert fires_at is not None
    assert fires_at >= since
    assert fires_at >= start
    assert (fires_at - start) % interval == timedelta(0)
    assert fires_at - interval < since or fires_at == start


@settings(max_examples=100)
@given(start=instants, interval=intervals, number=st.integers(0, 3))
def test_a_point_of_a_grid_is_the_next_at_or_after_itself(
    start: datetime, interval: timedelta, number: int
) -> None:
    grid, point = every(start, interval), start + number * interval
    assume(point.year < 8990)

    assert next_fire_at_or_after(grid, point) == point
    assert next_fire_at_or_after(grid, just_after(point)) == point + interval
    assert latest_fire_in(grid, since=start, until=just_after(point)) == point


@settings(max_examples=300)
@given(start=instants, interval=intervals, since=instants, until=instants)
def test_the_latest_of_a_grid_is_followed_by_none(
    start: datetime, interval: timedelta, since: datetime, until: datetime
) -> None:
    schedule = every(start, interval)

    latest = latest_fire_in(schedule, since=since, until=until)

    following = next_fire_at_or_after(schedule, since if latest is None else just_after(latest))
    assert following is not None
    assert following >= until or until <= since
    if latest is not None:
        assert since <= latest < until
        assert next_fire_at_or_after(schedule, latest) == latest


def iterate(schedule: Schedule, since: datetime, until: datetime) -> list[datetime]:
    fires = []
    while (fires_at := next_fire_at_or_after(schedule, since)) is not None and fires_at < until:
        assert fires_at >= since
        fires.append(fires_at)
        since = just_after(fires_at)
    return fires


@settings(max_examples=150)
@given(
    schedule=st.sampled_from(
        [
            cron("*/15 2 * * *", "Europe/Berlin"),
            cron("*/20 * * * *", "Australia/Lord_Howe"),
            cron("0 0 * * *", "Africa/Cairo"),
            cron("30 3 1,15 * 1", "America/Santiago"),
            cron("0 */2 * * *", "America/New_York", until=datetime(2025, 11, 2, 6, tzinfo=UTC)),
            every(ANCHOR, timedelta(hours=7, microseconds=1)),
            every(ANCHOR, 90 * MINUTE, until=datetime(2025, 4, 6, 14, 30, tzinfo=UTC)),
            once(datetime(2025, 3, 30, 1, tzinfo=UTC)),
        ]
    ),
    around=st.sampled_from(
        [
            datetime(2025, *month_day, tzinfo=UTC)
            for month_day in ((3, 30), (4, 6), (10, 26), (11, 2))
        ]
    ),
    before=st.timedeltas(timedelta(0), timedelta(days=4)),
    beyond=st.timedeltas(-timedelta(days=1), timedelta(days=4)),
)
def test_the_latest_is_the_last_of_iteration(
    schedule: Schedule, around: datetime, before: timedelta, beyond: timedelta
) -> None:
    since, until = around - before, around + beyond

    latest = latest_fire_in(schedule, since=since, until=until)

    assert latest == next(reversed(iterate(schedule, since, until)), None)


@pytest.mark.parametrize(
    "schedule",
    [
        cron("* * * * *", "Europe/Berlin"),
        every(ANCHOR, MINUTE),
        cron("0 0 29 2 *"),
        cron("@hourly"),
    ],
)
def test_the_latest_of_centuries_ends_where_the_next_is_too_late(schedule: Schedule) -> None:
    until = datetime(2475, 10, 29, 1, 30, 30, tzinfo=UTC)

    latest = latest_fire_in(schedule, since=ANCHOR, until=until)

    assert latest is not None
    assert latest < until
    following = next_fire_at_or_after(schedule, just_after(latest))
    assert following is not None
    assert following >= until


@pytest.mark.parametrize(
    "schedule",
    [every(ANCHOR, HOUR, until=ANCHOR + 3 * HOUR), cron("@hourly", until=ANCHOR + 3 * HOUR)],
)
def test_until_is_the_last_that_fires(schedule: Schedule) -> None:
    last = ANCHOR + 3 * HOUR

    assert next_fire_at_or_after(schedule, last) == last
    assert next_fire_at_or_after(schedule, last + INSTANT) is None
    assert latest_fire_in(schedule, since=ANCHOR, until=last + 9 * HOUR) == last
    assert latest_fire_in(schedule, since=last + INSTANT, until=last + 9 * HOUR) is None


def test_until_before_creation_leaves_nothing_to_fire() -> None:
    schedule = schedule_from(
        {"interval": 1, "recurring": True, "until": ANCHOR - HOUR}, anchor=ANCHOR
    )

    assert next_fire_at_or_after(schedule, ANCHOR) is None


def test_once_fires_once() -> None:
    schedule = once(ANCHOR)

    assert next_fire_at_or_after(schedule, ANCHOR) == ANCHOR
    assert next_fire_at_or_after(schedule, ANCHOR + INSTANT) is None
    assert latest_fire_in(schedule, since=ANCHOR, until=ANCHOR + INSTANT) == ANCHOR
    assert latest_fire_in(schedule, since=ANCHOR - HOUR, until=ANCHOR) is None
    assert latest_fire_in(schedule, since=ANCHOR + INSTANT, until=ANCHOR + HOUR) is None


@pytest.mark.parametrize(
    "schedule", [every(ANCHOR, timedelta(days=3653)), cron("* * * * *", "Europe/Berlin")]
)
def test_the_year_9000_is_the_last(schedule: Schedule) -> None:
    end = datetime(9001, 1, 1, tzinfo=UTC)

    assert next_fire_at_or_after(schedule, datetime.max.replace(tzinfo=UTC)) is None
    assert next_fire_at_or_after(schedule, end) is None
    assert next_fire_at_or_after(schedule, end - INSTANT) is None
    latest = latest_fire_in(schedule, since=ANCHOR, until=datetime.max.replace(tzinfo=UTC))
    assert latest is not None
    assert latest < end


@pytest.mark.parametrize(
    ("schedule", "first"),
    [
        (cron("@yearly", "Africa/Monrovia"), datetime(1970, 1, 1, 0, 44, 30, tzinfo=UTC)),
        (cron("* * * * *"), datetime(1970, 1, 1, tzinfo=UTC)),
        (every(ANCHOR, HOUR), ANCHOR),
        (once(ANCHOR), ANCHOR),
    ],
)
def test_the_beginning_of_time_is_1970(schedule: Schedule, first: datetime) -> None:
    assert next_fire_at_or_after(schedule, datetime.min.replace(tzinfo=UTC)) == first


@pytest.mark.parametrize(
    "since",
    [datetime(2025, 1, 1), datetime.min.replace(tzinfo=EAST)],  # noqa: DTZ001
)
def test_since_must_be_an_instant(since: datetime) -> None:
    with pytest.raises(ScheduleError):
        next_fire_at_or_after(cron("@daily"), since)


@pytest.mark.parametrize(
    "details",
    [
        {"cron": "sesame * * * *"},
        {"cron": "0 0 * * *", "timezone": "sesame"},
        {"cron": "@sesame"},
        {"interval": "sesame"},
    ],
)
def test_a_refusal_never_echoes_the_input(details: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError) as refusal:
        schedule_from(details, anchor=ANCHOR)

    assert "sesame" not in str(refusal.value)
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


def test_a_position_in_the_first_week_counts_its_days_before_the_start() -> None:
    details = {"rrule": "FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=1", "time": "1997-08-05T09:00:00"}

    first = next_fire_at_or_after(
        schedule_from(details, anchor=ANCHOR), datetime(1997, 1, 1, tzinfo=UTC)
    )

    assert first == datetime(1997, 8, 11, 9, tzinfo=UTC)


def test_a_walk_that_begins_between_two_months_of_a_rule_finds_the_start_of_the_next() -> None:
    details = {"rrule": "FREQ=MONTHLY;INTERVAL=6;BYDAY=1MO", "time": "2026-01-01T09:00:00"}
    since = datetime(2026, 2, 28, tzinfo=UTC)

    first = next_fire_at_or_after(schedule_from(details, anchor=ANCHOR), since)

    assert first == datetime(2026, 7, 6, 9, tzinfo=UTC)
