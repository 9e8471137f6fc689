"""Cron lines fire as cron(8) and docs/schedules.md say, judged by a walk over every minute."""

import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.cron import parse_cron, read_rules
from event_trigger.triggers.schedule.errors import ScheduleError

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})


# The reference: every minute of UTC is shown on the local clock, and matched by plain sets.


def reference_field(text: str, lowest: int, highest: int) -> set[int]:
    values: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = str(lowest), str(highest)
        values.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return values


def reference_matcher(expression: str) -> tuple[Callable[[datetime], bool], bool]:
    fields = expression.split()
    minutes, hours, days, months, weekdays = (
        reference_field(text, *limits) for text, limits in zip(fields, LIMITS, strict=True)
    )
    weekdays = {day % 7 for day in weekdays}
    both = fields[2].startswith("*") or fields[4].startswith("*")

    def matches(local: datetime) -> bool:
        if local.minute not in minutes or local.hour not in hours or local.month not in months:
            return False
        day, weekday = local.day in days, local.isoweekday() % 7 in weekdays
        return (day and weekday) if both else (day or weekday)

    return matches, len(hours) == 24


def clock(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    instant = start
    while instant <= end:
        yield instant, instant.astimezone(zone).replace(tzinfo=None)
        instant += MINUTE


def reference_fires(
    expression: str, shown: list[tuple[datetime, datetime]], seen_until: datetime
) -> list[datetime]:
    """Gives the firings at the minutes shown; local times up to seen_until came before."""
    matches, at_least_hourly = reference_matcher(expression)
    fires = []
    for instant, local in shown:
        fresh = local > seen_until
        due = matches(local) and (fresh or at_least_hourly)
        if fresh and not at_least_hourly:
            skipped = seen_until + MINUTE
            while skipped < local and not due:
                due = matches(skipped)
                skipped += MINUTE
        seen_until = max(seen_until, local)
        if due:
            fires.append(instant)
    return fires


def reference_in(
    expression: str, zone: ZoneInfo, since: datetime, until: datetime
) -> list[datetime]:
    """Begins 8 hours earlier: a clock put back by up to 7 hours may have shown more before."""
    first = since.replace(second=0, microsecond=0) - 8 * HOUR
    shown = list(clock(zone, first, until))
    fires = reference_fires(expression, shown[1:], shown[0][1])
    return [instant for instant in fires if since <= instant < until]


def fires_in(expression: str, timezone: str, since: datetime, until: datetime) -> list[datetime]:
    crontab = parse_cron(expression, timezone)
    fires = []
    while (instant := crontab.next_at_or_after(since)) is not None and instant < until:
        assert instant >= since
        fires.append(instant)
        since = just_after(instant)
    return fires


@lru_cache
def changes(timezone: str, first_year: int, last_year: int) -> list[datetime]:
    zone = read_rules(timezone).zone
    instants = []
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    while day.year <= last_year:
        if day.astimezone(zone).utcoffset() != (day + DAY).astimezone(zone).utcoffset():
            instants.append(
                next(
                    instant
                    for minutes in range(24 * 60)
                    if (instant := day + (minutes + 1) * MINUTE).astimezone(zone).utcoffset()
                    != day.astimezone(zone).utcoffset()
                )
            )
        day += DAY
    return instants


@st.composite
def terms(draw: st.DrawFn, lowest: int, highest: int) -> str:
    first = draw(st.integers(lowest, highest))
    last = draw(st.integers(first, highest))
    step = draw(st.integers(1, 12))
    return draw(
        st.sampled_from(("*", str(first), f"{first}-{last}", f"{first}-{last}/{step}", f"*/{step}"))
    )


def fields(lowest: int, highest: int) -> st.SearchStrategy[str]:
    lists = st.lists(terms(lowest, highest), min_size=1, max_size=3).map(",".join)
    return st.just("*") | lists


expressions = st.one_of(
    st.tuples(*(fields(*limits) for limits in LIMITS)).map(" ".join),
    st.tuples(*(fields(*limits) for limits in LIMITS[:2])).map(
        lambda two: " ".join(two) + " * * *"
    ),
)
instants = st.datetimes(
    datetime(2019, 1, 1),  # noqa: DTZ001
    datetime(2031, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """Draws a zone and an instant, mostly within hours of a change of its offset."""
    timezone = draw(st.sampled_from(ZONES))
    instant = draw(instants)
    near = changes(timezone, instant.year, instant.year)
    if near and draw(st.sampled_from((True, True, False))):
        offset = draw(st.timedeltas(-14 * HOUR, 4 * HOUR))
        instant = draw(st.sampled_from(near)) + offset
    return timezone, instant


@settings(deadline=None, max_examples=150)
@given(expression=expressions, moment=moments())
@example("30 * 25 10 *", ("Asia/Beirut", datetime(2025, 10, 25, 20, 45, tzinfo=UTC)))
@example("*/15 2 * * *", ("Australia/Lord_Howe", datetime(2025, 10, 4, 15, tzinfo=UTC)))
def test_fires_as_the_reference_does(expression: str, moment: tuple[str, datetime]) -> None:
    timezone, since = moment
    until = since + 16 * HOUR
    try:
        parse_cron(expression, timezone)
    except ScheduleError:
        assume(False)

    fires = fires_in(expression, timezone, since, until)

    assert fires == reference_in(expression, read_rules(timezone).zone, since, until)


EXPRESSIONS = (
    "* * * * *",
    "*/7 * * * *",
    "15,45 * * * *",
    "0 0-23 * * *",
    "30 0-22/2,1-23/2 * * *",
    "*/15 2 * * *",
    "* 0-3 * * *",
    "0 */2 * * *",
    "30 0 * * *",
    "15 1 * * *",
    "30 2 * * *",
    "59 23 * * *",
    "0 0 * * 0",
    "*/20 * * 3,4,9-11 0,5",
    "10 1,2 1-7 * *",
)


INSTANT = timedelta(microseconds=1)
OFFSETS = (  # begin anywhere: also within the overlap, and at the very change
    *(minutes * MINUTE for minutes in range(-180, 180, 13)),
    *(-MINUTE, -timedelta(seconds=1), -INSTANT, 0 * INSTANT, INSTANT, MINUTE, 30 * MINUTE, HOUR),
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(
    "timezone",
    [
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/Santiago",
    ],
)
def test_keeps_the_contract_over_every_change_of_a_decade(timezone: str, expression: str) -> None:
    crontab = parse_cron(expression, timezone)
    for change in changes(timezone, 2020, 2030):
        start, end = change - 5 * HOUR, change + 5 * HOUR
        shown = shown_around(timezone, change)
        reference = reference_fires(expression, shown[1:], shown[0][1])

        assert fires_in(expression, timezone, start, end) == [
            instant for instant in reference if start <= instant < end
        ]
        for since in (change + offset for offset in OFFSETS):
            expected = next((instant for instant in reference if instant >= since), None)
            assert crontab.next_at_or_after(since) == expected or expected is None


@lru_cache
def distinct_zones() -> list[str]:
    """Gives one of each group of zones whose clocks are the same all through the decade."""
    days = [datetime(2020, 1, 1, tzinfo=UTC) + number * 2 * DAY for number in range(2009)]
    shown: dict[tuple[timedelta | None, ...], str] = {}
    for timezone in ZONES:
        zone = read_rules(timezone).zone
        shown.setdefault(tuple(day.astimezone(zone).utcoffset() for day in days), timezone)
    return list(shown.values())


@pytest.mark.parametrize("expression", ["*/20 * * * *", "30 0 * * *", "15,45 2 * * *"])
def test_keeps_the_contract_over_every_change_of_a_decade_in_every_zone(expression: str) -> None:
    for timezone in distinct_zones():
        for change in changes(timezone, 2020, 2030):
            start, end = change - 3 * HOUR, change + 4 * HOUR

            fires = fires_in(expression, timezone, start, end)

            assert fires == reference_in(expression, read_rules(timezone).zone, start, end), (
                timezone
            )


@lru_cache
def shown_around(timezone: str, change: datetime) -> list[tuple[datetime, datetime]]:
    return list(clock(read_rules(timezone).zone, change - 13 * HOUR, change + 11 * HOUR))


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
    crontab = parse_cron(expression, timezone)

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
    "hour": ("0 24 * * *", "0 5-3 * * *", "0 1-2-3 * * *", "0 */2/2 * * *", "0 L * * *"),
    "day-of-month": (
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 L * *",
        "0 0 LW * *",
        "0 0 ? * *",
        "0 0 15W * *",
    ),
    "month": ("0 0 * 13 *", "0 0 * JAN2 *", "0 0 * JANUARY *", "0 0 * MON *", "0 0 * */JAN *"),
    "day-of-week": (
        "0 0 * * 8",
        "0 0 * * 5L",
        "0 0 * * 1#2",
        "0 0 * * ?",
        "0 0 * * JAN",
        "0 0 * * FRI-SUN",
    ),
}


@pytest.mark.parametrize(
    ("name", "expression"),
    [(name, expression) for name, listed in REFUSED.items() for expression in listed],
)
def test_a_refusal_names_the_field(name: str, expression: str) -> None:
    with pytest.raises(ScheduleError) as refusal:
        parse_cron(expression, "UTC")

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
        "0\t0 * * *",
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
        parse_cron(expression, "UTC")

    assert refusal.value.field == "cron"
    assert len(refusal.value.message) < 250


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=40) | st.text(alphabet="0123456789*/-,LW#?@ SUNJAN", max_size=40))
def test_raises_nothing_but_schedule_errors(expression: str) -> None:
    try:
        crontab = parse_cron(expression, "Europe/Berlin")
    except ScheduleError:
        return
    assert crontab.next_at_or_after(datetime(2025, 1, 1, tzinfo=UTC)) is not None


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
        parse_cron("@daily", key)

    assert refusal.value.field == "timezone"


def test_reads_every_zone_there_is() -> None:
    start = datetime(2025, 6, 1, tzinfo=UTC)

    for key in ZONES:
        first, second = pairwise(fires_in("@daily", key, start, start + 3 * DAY))
        assert first[1] - first[0] == second[1] - second[0] == DAY


def test_one_parsed_expression_serves_interleaved_walks() -> None:
    crontab = parse_cron("*/10 * * * *", "UTC")
    start = datetime(2025, 1, 1, tzinfo=UTC)

    crontab.next_at_or_after(start + 900 * DAY)

    assert crontab.next_at_or_after(start + MINUTE) == start + 10 * MINUTE
