"""Cron lines fire as cron(8) and docs/schedules.md say; see also test_slow_schedules.py."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, takewhile

import pytest

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.zones import read_rules
from tests.support.schedules import times_of
from tests.support.slow_schedules import clock_changes, cron_rule, instants_of

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
FIRST_YEAR, LAST_YEAR = 2025, 2025


def fires_in(expression: str, timezone: str, since: datetime, until: datetime) -> list[datetime]:
    crontab = times_of(expression, timezone)
    fires = []
    while (instant := crontab.next_at_or_after(since)) is not None and instant < until:
        assert instant >= since
        fires.append(instant)
        since = just_after(instant)
    return fires


def reference_in(
    expression: str, timezone: str, since: datetime, until: datetime
) -> list[datetime]:
    found = instants_of([cron_rule(expression)], read_rules(timezone).zone, since)
    return [*takewhile(lambda one: one < until, found)]


OFFSETS = (  # begin anywhere: also within the overlap, and at the very change
    *(minutes * MINUTE for minutes in range(-180, 180, 13)),
    *(-MINUTE, -timedelta(seconds=1), -INSTANT, 0 * INSTANT, INSTANT, MINUTE, 30 * MINUTE, HOUR),
)


@pytest.mark.parametrize(
    "expression",
    [
        *("* * * * *", "*/7 * * * *", "15,45 * * * *", "30 0-22/2,1-23/2 * * *", "*/15 2 * * *"),
        *("* 0-3 * * *", "0 */2 * * *", "30 0 * * *", "15 1 * * *", "59 23 * * *", "0 0 * * 0"),
        *("*/20 * * 3,4,9-11 0,5", "10 1,2 1-7 * *"),
    ],
)
def test_instants_around_a_clock_change_follow_from_any_instant(expression: str) -> None:
    for timezone in ("Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago"):
        crontab = times_of(expression, timezone)
        for change in clock_changes(timezone, 2025, 2025):
            start, end = change - 5 * HOUR, change + 5 * HOUR
            reference = reference_in(expression, timezone, start, end)

            assert fires_in(expression, timezone, start, end) == reference
            for since in (change + offset for offset in OFFSETS):
                expected = next((instant for instant in reference if instant >= since), None)
                assert crontab.next_at_or_after(since) == expected or expected is None


@lru_cache
def distinct_zones() -> list[str]:
    """Gives one of each group of zones whose clocks are the same all through some years."""
    first = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    days = [first + number * 3 * DAY for number in range((LAST_YEAR + 1 - FIRST_YEAR) * 122)]
    shown: dict[tuple[timedelta | None, ...], str] = {}
    for timezone in ZONES:
        zone = read_rules(timezone).zone
        shown.setdefault(tuple(day.astimezone(zone).utcoffset() for day in days), timezone)
    return list(shown.values())


def test_every_clock_change_of_every_zone_keeps_the_contract() -> None:
    for timezone in distinct_zones():
        for change in clock_changes(timezone, FIRST_YEAR, LAST_YEAR):
            start, end = change - 3 * HOUR, change + 4 * HOUR
            for expression in ("*/20 * * * *", "30 0 * * *", "15,45 2 * * *"):
                fires = fires_in(expression, timezone, start, end)

                assert fires == reference_in(expression, timezone, start, end), timezone


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "expected"),
    [
        # a gap: 02:00 to 03:00
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2025-03-29T12:00+01:00",
            ["2025-03-30T03:00+02:00", "2025-03-31T02:30+02:00"],
        ),
        (
            "*/15 2 * * *",
            "Europe/Berlin",
            "2025-03-30T01:59:59.999999+01:00",
            ["2025-03-30T03:00+02:00", "2025-03-31T02:00+02:00"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2025-03-30T03:00+02:00", ["2025-03-31T02:30+02:00"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2025-03-30T01:00+01:00",
            ["2025-03-30T01:30+01:00", "2025-03-30T03:30+02:00"],
        ),
        # an overlap: 02:00 to 03:00 twice
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2025-10-26T00:00+02:00",
            ["2025-10-26T02:30+02:00", "2025-10-27T02:30+01:00"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2025-10-26T02:15+01:00", ["2025-10-27T02:30+01:00"]),
        (
            "30 0-23 * * *",
            "Europe/Berlin",
            "2025-10-26T02:00+02:00",
            ["2025-10-26T02:30+02:00", "2025-10-26T02:30+01:00", "2025-10-26T03:30+01:00"],
        ),
        ("30 * * * *", "Europe/Berlin", "2025-10-26T02:45+02:00", ["2025-10-26T02:30+01:00"]),
        # half an hour: 02:00 to 02:30 missing, 01:30 to 02:00 twice
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2025-10-05T00:00+10:30",
            ["2025-10-05T02:30+11:00", "2025-10-06T02:15+11:00"],
        ),
        (
            "15 * * * *",
            "Australia/Lord_Howe",
            "2025-10-05T01:00+10:30",
            ["2025-10-05T01:15+10:30", "2025-10-05T03:15+11:00"],
        ),
        (
            "45 * * * *",
            "Australia/Lord_Howe",
            "2025-04-06T01:00+11:00",
            ["2025-04-06T01:45+11:00", "2025-04-06T01:45+10:30", "2025-04-06T02:45+10:30"],
        ),
        # midnight does not exist
        (
            "0 0 * * *",
            "Africa/Cairo",
            "2025-04-24T12:00+02:00",
            ["2025-04-25T01:00+03:00", "2025-04-26T00:00+03:00"],
        ),
        (
            "0 0 * * *",
            "America/Santiago",
            "2025-09-06T12:00-04:00",
            ["2025-09-07T01:00-03:00", "2025-09-08T00:00-03:00"],
        ),
        # an hour before midnight repeats, and the day has it twice
        (
            "30 * 25 10 *",
            "Asia/Beirut",
            "2025-10-25T23:45+03:00",
            ["2025-10-25T23:30+02:00", "2026-10-25T00:30+02:00"],
        ),
        # a whole day does not exist
        (
            "0 12 30 12 *",
            "Pacific/Apia",
            "2011-12-29T12:00-10:00",
            ["2011-12-31T00:00+14:00", "2012-12-30T12:00+14:00"],
        ),
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T00:00-10:00",
            ["2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"],
        ),
        ("0 * 30 12 *", "Pacific/Apia", "2011-12-29T12:00-10:00", ["2012-12-30T00:00+14:00"]),
        # the calendar
        ("0 0 29 2 *", "UTC", "2025-01-01T00:00Z", ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
        ("0 0 29 2 */7", "UTC", "2089-01-01T00:00Z", ["2128-02-29T00:00Z"]),
        ("0 0 13 * FRI", "UTC", "2025-01-12T00:00Z", ["2025-01-13T00:00Z", "2025-01-17T00:00Z"]),
        ("0 0 */2 * FRI", "UTC", "2025-01-04T00:00Z", ["2025-01-17T00:00Z", "2025-01-31T00:00Z"]),
        ("0 0 31 * *", "UTC", "2025-01-31T00:00Z", ["2025-03-31T00:00Z"]),
        ("5-5/15 * * * *", "UTC", "2025-01-01T00:00Z", ["2025-01-01T00:05Z", "2025-01-01T01:05Z"]),
        (
            "0 0 * feb-Mar sUn",
            "UTC",
            "2025-02-22T00:00Z",
            ["2025-02-23T00:00Z", "2025-03-02T00:00Z"],
        ),
        ("0 0 * * 7", "UTC", "2025-02-22T00:00Z", ["2025-02-23T00:00Z", "2025-03-02T00:00Z"]),
        (
            "  0   0 * * mon-fri/2 ",
            "UTC",
            "2025-02-22T00:00Z",
            ["2025-02-24T00:00Z", "2025-02-26T00:00Z"],
        ),
    ],
)
def test_fires_at(expression: str, timezone: str, after: str, expected: list[str]) -> None:
    crontab = times_of(expression, timezone)

    instant: datetime | None = at(after)
    for text in expected:
        assert instant is not None
        instant = crontab.next_at_or_after(just_after(instant))
        assert instant == at(text)


@pytest.mark.parametrize(
    ("alias", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@Monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@ANNUALLY", "0 0 1 1 *"),
    ],
)
def test_an_alias_is_its_expression(alias: str, expression: str) -> None:
    start = datetime(2025, 3, 28, 12, tzinfo=UTC)
    end = start + 370 * DAY

    fires = fires_in(alias, "Europe/Berlin", start, end)

    assert fires == fires_in(expression, "Europe/Berlin", start, end)


REFUSED = {
    "minute": (
        "60 * * * *",
        "-1 * * * *",
        "*/0 * * * *",
        "1- * * * *",
        ", * * * *",
        "1,,2 * * * *",
    ),
    "hour": ("0 24 * * *", "0 1-2-3 * * *", "0 */2/2 * * *", "0 L * * *"),
    "day-of-month": (
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 W * *",
        "0 0 32W * *",
        "0 0 15WL * *",
    ),
    "month": ("0 0 * 13 *", "0 0 * JAN2 *", "0 0 * JANUARY *", "0 0 * MON *", "0 0 * */JAN *"),
    "day-of-week": (
        "0 0 * * 8",
        "0 0 * * 8L",
        "0 0 * * 1#6",
        "0 0 * * 1#0",
        "0 0 * * ??",
        "0 0 * * JAN",
        "0 0 * * 1W",
    ),
}


@pytest.mark.parametrize(
    ("name", "expression"),
    [(name, expression) for name, listed in REFUSED.items() for expression in listed],
)
def test_a_refusal_names_the_field(name: str, expression: str) -> None:
    with pytest.raises(ScheduleError) as refusal:
        times_of(expression, "UTC")

    assert refusal.value.field == "cron"
    assert f"The {name} field" in refusal.value.message


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "* * * *",
        "0 * * * * *",
        "* * * * * * *",
        "@reboot",
        "@every 5m",
        "@daily @daily",
        "@",
        "0 0 30 2 *",
        "0 0 31 2,4 *",
        "0 0 31 2,4,6,9,11 */2",
        "0 0 30-31 feb *",
        "0 0 * * *\n",
        "0 0 * * *\x00",
        "\x00",
        "0\u00a00 * * *",
        "\uff10 0 * * *",
        "\u0663 0 * * *",
        "0 0 * * \ud800",
        "0 0 * * \u017fun",
        "1" * 257,
        "*/" + "9" * 250 + "0 * * * *",
        ",".join(["1"] * 200_000) + " * * * *",
        "((((",
        "None",
    ],
)
def test_refuses(expression: str) -> None:
    with pytest.raises(ScheduleError) as refusal:
        times_of(expression, "UTC")

    assert refusal.value.field == "cron"
    assert len(refusal.value.message) < 250


@pytest.mark.parametrize("key", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_reads_an_iana_zone(key: str) -> None:
    assert read_rules(key).zone.key == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "/etc/localtime",
        "/usr/share/zoneinfo/UTC",
        "../UTC",
        "Europe/../UTC",
        "Europe/",
        "Europe",
        "America/Argentina",
        "localtime",
        "posixrules",
        "posix/Europe/Berlin",
        "right/UTC",
        "Factory",
        "Europe/Atlantis",
        "tzdata.zi",
        "leapseconds",
        "__init__",
        "UTC\x00",
        "UTC\n",
        " UTC",
        "\ud800",
        "\uff35TC",
        "A" * 65,
        "A/" * 100_000,
        "+02:00",
    ],
)
def test_refuses_what_is_no_zone(key: str) -> None:
    with pytest.raises(ScheduleError) as refusal:
        times_of("@daily", key)

    assert refusal.value.field == "timezone"


def test_reads_every_zone_there_is() -> None:
    start = datetime(2025, 6, 1, tzinfo=UTC)

    for key in ZONES:
        first, second = pairwise(fires_in("@daily", key, start, start + 3 * DAY))
        assert first[1] - first[0] == second[1] - second[0] == DAY


def test_one_parsed_expression_serves_interleaved_walks() -> None:
    crontab = times_of("*/10 * * * *", "UTC")
    start = datetime(2025, 1, 1, tzinfo=UTC)

    crontab.next_at_or_after(start + 900 * DAY)

    assert crontab.next_at_or_after(start + MINUTE) == start + 10 * MINUTE
