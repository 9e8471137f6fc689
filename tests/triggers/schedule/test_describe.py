"""Schedules are described in words, and so are instants that daylight saving moved."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.cron import read_line
from event_trigger.triggers.schedule.describe import daylight_note, describe
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.schedules import Schedule, next_fire_at_or_after
from tests.support.schedules import cron, every, once

START = datetime(2026, 3, 13, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 9 * * mon-fri", "At 09:00 on Monday to Friday"),
        ("0 9 * * 7", "At 09:00 on Sunday"),
        ("0 0 * NOV-FEB 7", "In November to February, at 00:00 on Sunday"),
        (
            "0 0 28-31 * *",
            "At 00:00 on days 28 to 31 of the month, in months that have them",
        ),
        ("0 9 * * 0-6", "At 09:00 every day"),
        ("0 9 * * *", "At 09:00 every day"),
        ("@daily", "At 00:00 every day"),
        ("@hourly", "Every hour"),
        ("@weekly", "At 00:00 on Sunday"),
        ("@yearly", "At 00:00 on January 1"),
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0,15,30,45 * * * *", "Every 15 minutes"),
        ("*/7 * * * *", "At minutes 0 to 56 in steps of 7 of every hour"),
        ("5 * * * *", "At minute 5 of every hour"),
        ("5,20,35 * * * *", "At minutes 5, 20 and 35 of every hour"),
        ("*/10 9-17 * * 1-5", "Every 10 minutes from 09:00 to 17:50 on Monday to Friday"),
        ("0 9-17 * * *", "Every hour from 09:00 to 17:00"),
        ("*/10 9,17 * * *", "Every 10 minutes in hours 9 and 17"),
        ("*/5 0 * * *", "Every 5 minutes from 00:00 to 00:55"),
        ("7 */2 * * *", "Every 2 hours from 00:07 to 22:07"),
        ("0 */2 * * *", "Every 2 hours"),
        ("5 8-20/3 * * *", "At 08:05, 11:05, 14:05, 17:05 and 20:05 every day"),
        ("7 1-23/2 * * *", "Every 2 hours from 01:07 to 23:07"),
        ("0,30 9,12,17 * * *", "At 09:00, 09:30, 12:00, 12:30, 17:00 and 17:30 every day"),
        ("30 2 1 * 1", "At 02:30 on day 1 of the month, or on Monday"),
        ("30 2 1,15 * 0,6", "At 02:30 on days 1 and 15 of the month, or on Saturday or Sunday"),
        (
            "0 0 */2 * 1",
            "At 00:00 on days 1 to 31 in steps of 2 of the month, if that is a Monday",
        ),
        ("0 0 * 1,3,6-8 *", "In January, March and June to August, at 00:00 every day"),
        ("0 0 1 */3 *", "At 00:00 on January 1, April 1, July 1 and October 1"),
        (
            "0 0 1 */2 *",
            "In January, March, May, July, September and November, at 00:00 on day 1 of the month",
        ),
        ("2 1 3 jan mon", "In January, at 01:02 on day 3 of the month, or on Monday"),
        ("0 21 * * 0-4", "At 21:00 on Sunday to Thursday"),
        ("0 21 * * 6-7,1", "At 21:00 on Saturday to Monday"),
        ("0 21 * * 7,1,3", "At 21:00 on Sunday, Monday and Wednesday"),
        ("0 0 31 1-4 *", "At 00:00 on January 31 and March 31"),
        ("0 0 29 feb *", "At 00:00 on February 29, in leap years"),
        ("0 0 1-31 * 1", "At 00:00 every day"),
        ("0 0 31 * *", "At 00:00 on day 31 of the month, in months that have it"),
        ("0 18 * * 5L", "At 18:00 on the last Friday of the month"),
        ("0 8 * * MON#2", "At 08:00 on the second Monday of the month"),
        (
            "0 8 * * 1#1,3#3",
            "At 08:00 on the first Monday of the month and the third Wednesday of the month",
        ),
        ("30 6 15W * *", "At 06:30 on the weekday nearest to day 15 of the month"),
        ("0 0 1,L * *", "At 00:00 on day 1 of the month and the last day of the month"),
        ("0 9 LW * *", "At 09:00 on the last weekday of the month"),
        (
            "0 19-7 * * 1-5",
            "Every hour from 00:00 to 07:00 and from 19:00 to 23:00 on Monday to Friday",
        ),
        ("*/10 22-3 * * *", "Every 10 minutes from 22:00 to 03:50, across midnight"),
        ("*/40 * * * *", "At minutes 0 and 40 of every hour"),
        ("5/15 * * * *", "At minutes 5, 20, 35 and 50 of every hour"),
        ("*/15 */2 * * *", "Every 15 minutes of every second hour"),
        (
            "15,45 1-23/2 * * *",
            "At minutes 15 and 45 of every second hour from 01:15 to 23:45 every day",
        ),
        (
            "15,45 8-18 * * *",
            "At minutes 15 and 45 of every hour from 08:15 to 18:45 every day",
        ),
        ("15,45 5,9,11,13 * * *", "At minutes 15 and 45 of hours 5, 9, 11 and 13 every day"),
        ("0 0 29,31 * *", "At 00:00 on days 29 and 31 of the month, in months that have them"),
        (
            "0 0 L,15 * MON",
            "At 00:00 on day 15 of the month and the last day of the month, or on Monday",
        ),
        ("0 0 1 1-6 *", "In January to June, at 00:00 on day 1 of the month"),
        ("0 9 ? * MON-FRI", "At 09:00 on Monday to Friday"),
        ("0 9 1-7 * 1", "At 09:00 on days 1 to 7 of the month, or on Monday"),
    ],
)
def test_a_cron_line_is_said_in_words(expression: str, words: str) -> None:
    assert describe(cron(expression, "Europe/Berlin")) == f"{words}, Europe/Berlin"


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (once(START), "Once, at 2026-03-13T10:00:00Z"),
        (
            every(START, timedelta(minutes=30)),
            "Every 30 minutes, counted from 2026-03-13T10:00:00Z",
        ),
        (
            every(START, timedelta(minutes=90)),
            "Every 90 minutes, counted from 2026-03-13T10:00:00Z",
        ),
        (
            every(START, timedelta(minutes=150)),
            "Every 2 hours and 30 minutes, counted from 2026-03-13T10:00:00Z",
        ),
        (every(START, timedelta(weeks=1)), "Every week, counted from 2026-03-13T10:00:00Z"),
        (every(START, timedelta(weeks=2)), "Every 2 weeks, counted from 2026-03-13T10:00:00Z"),
        (every(START, timedelta(days=1)), "Every day, counted from 2026-03-13T10:00:00Z"),
        (
            every(START, timedelta(seconds=90), START + timedelta(days=1)),
            "Every 90 seconds, counted from 2026-03-13T10:00:00Z, until 2026-03-14T10:00:00Z",
        ),
        (cron("0 9 * * *", "UTC", START), "At 09:00 every day, UTC, until 2026-03-13T10:00:00Z"),
    ],
)
def test_times_and_intervals_are_said_in_words(schedule: Schedule, words: str) -> None:
    assert describe(schedule) == words


@pytest.mark.parametrize(
    ("details", "words"),
    [
        (
            {"cron": ["0 9 * * 1-5", "0 10 * * 6"]},
            "At 09:00 on Monday to Friday; and at 10:00 on Saturday",
        ),
        (
            {"cron": ["0 9 * * 1-5", "30 12 * * MON-FRI", "0 17 * * 1-5"]},
            "At 09:00, 12:30 and 17:00 on Monday to Friday",
        ),
        ({"cron": ["0 0 * * *", "@daily"]}, "At 00:00 every day"),
        (
            {"cron": ["*/5 12 * * *", "@monthly"]},
            "Every 5 minutes from 12:00 to 12:55; and at 00:00 on day 1 of the month",
        ),
        ({"time": "2026-01-31T09:00"}, "Once, at 2026-01-31 09:00"),
        ({"interval": "P1D"}, "Every day at 09:00"),
        ({"interval": "P10D"}, "Every 10 days at 09:00"),
        ({"interval": "P1W"}, "Every week on Saturday at 09:00"),
        ({"interval": "P14D"}, "Every 2 weeks on Saturday at 09:00"),
        (
            {"interval": "P1M"},
            "Every month on day 31, or the last day of a shorter month, at 09:00",
        ),
        (
            {"interval": "P1M", "month_end": "skip"},
            "Every month on day 31, in months that have it, at 09:00",
        ),
        (
            {"interval": "P2M", "time": "2026-01-30T09:00:30"},
            "Every 2 months on day 30 at 09:00:30",
        ),
        ({"interval": "P1Y"}, "Every year on January 31 at 09:00"),
        (
            {"interval": "P1Y", "time": "2024-02-29T09:00"},
            "Every year on February 29, in other years February 28, at 09:00",
        ),
        (
            {"interval": "P1Y", "time": "2024-02-29T09:00", "month_end": "skip"},
            "Every year on February 29, in leap years only, at 09:00",
        ),
        (
            {"interval": "P4Y", "time": "2024-02-29T09:00"},
            "Every 4 years on February 29 at 09:00",
        ),
        ({"rrule": "FREQ=DAILY;INTERVAL=3"}, "Every 3 days at 09:00"),
        (
            {"rrule": "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR"},
            "Every day at 09:00, only on Monday to Friday",
        ),
        (
            {"rrule": "FREQ=DAILY;BYHOUR=9,12;BYMINUTE=0,30;COUNT=10"},
            "Every day at 09:00, 09:30, 12:00 and 12:30, 10 times",
        ),
        (
            {"rrule": "FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7,8;UNTIL=20261231"},
            "Every day at 8 times from 01:00 to 08:00, until 2026-12-31",
        ),
        (
            {"rrule": "FREQ=DAILY;UNTIL=20261231T120000Z"},
            "Every day at 09:00, until 2026-12-31T12:00:00Z",
        ),
        (
            {"rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;BYMONTH=6,7,8"},
            "Every 2 weeks on Monday and Friday at 09:00, only in June to August",
        ),
        (
            {"rrule": "FREQ=MONTHLY;BYDAY=-1FR"},
            "Every month on the last Friday of the month at 09:00",
        ),
        ({"rrule": "FREQ=MONTHLY;BYDAY=FR"}, "Every month on each Friday of the month at 09:00"),
        (
            {"rrule": "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"},
            "Every month on the last weekday of the month at 09:00",
        ),
        (
            {"rrule": "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=2,-1"},
            "Every month on each Monday and Tuesday of the month at 09:00,"
            " only the second and last such time of the month",
        ),
        (
            {"rrule": "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR"},
            "Every month on day 13 of the month at 09:00, if that is a Friday",
        ),
        (
            {"rrule": "FREQ=MONTHLY;BYMONTHDAY=-1,15"},
            "Every month on day 15 and the last day of the month at 09:00",
        ),
        (
            {"rrule": "FREQ=MONTHLY;BYMONTHDAY=29,30"},
            "Every month on days 29 and 30 of the month, in months that have them, at 09:00",
        ),
        ({"rrule": "FREQ=YEARLY"}, "Every year on January 31 at 09:00"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=1,2"}, "Every year on January 31 at 09:00"),
        (
            {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"},
            "Every year on February 29, in leap years, at 09:00",
        ),
        (
            {"rrule": "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYMONTHDAY=2,3,4,5,6,7,8;BYDAY=TU"},
            "Every 4 years on days 2 to 8 of November at 09:00, if that is a Tuesday",
        ),
        (
            {"rrule": "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU"},
            "Every year on the last Sunday of March and October at 09:00",
        ),
        ({"rrule": "FREQ=YEARLY;BYDAY=20MO"}, "Every year on the 20th Monday of the year at 09:00"),
        ({"rrule": "FREQ=YEARLY;BYMONTHDAY=1"}, "Every year on day 1 of every month at 09:00"),
    ],
)
def test_other_local_times_are_said_in_words(details: dict[str, Any], words: str) -> None:
    start = {} if "cron" in details else {"time": "2026-01-31T09:00"}
    recurring = {"recurring": True} if "interval" in details else {}
    all_details = start | details | recurring | {"timezone": "Europe/Berlin"}

    said = describe(schedule_from(all_details, anchor=START))

    begins = f", starting {all_details['time'][:10]}" if recurring or "rrule" in details else ""
    rest = said.replace(f"{begins}", "").replace(", Europe/Berlin", "")
    assert rest == words
    assert begins in said


def test_bounds_are_said_in_words() -> None:
    details = {"cron": "0 9 * * *", "from": START, "until": START + timedelta(days=9)}
    days = [date(2026, 3, number) for number in (14, 15, 16, 17, 18)]

    schedule = schedule_from(details, anchor=START)

    bounds = "from 2026-03-13T10:00:00Z, until 2026-03-22T10:00:00Z"
    words = f"At 09:00 every day, UTC, {bounds}"
    assert describe(schedule) == words
    assert describe(schedule, max_fires=1) == f"{words}, only once"
    assert describe(schedule, max_fires=3) == f"{words}, 3 times at most"
    few, many = (schedule._replace(excluded=tuple(days[:number])) for number in (2, 5))
    assert describe(few) == f"{words}, but not on 2026-03-14 and 2026-03-15"
    assert describe(many).endswith("2026-03-14, 2026-03-15, 2026-03-16 and 2 more dates")
    later = schedule._replace(shift=timedelta(minutes=1))
    assert describe(later) == f"{words}, each 1 minute later"


def numbers(lowest: int, highest: int) -> st.SearchStrategy[str]:
    one = st.integers(lowest, highest).map(str)
    return st.just("*") | st.lists(one, min_size=1, max_size=20).map(",".join)


@given(
    st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), numbers(0, 7)).map(
        " ".join
    )
)
def test_every_cron_line_has_a_short_sentence_that_is_its_meanings_alone(expression: str) -> None:
    try:
        line = read_line(expression)
    except ScheduleError:
        assume(False)
    respelt = " ".join(
        text if text == "*" else ",".join(sorted(set(text.split(",")), key=int, reverse=True))
        for text in expression.split()
    )

    words = describe(cron(expression))

    assert words[0].isupper()
    assert len(words) < 600
    assert describe(cron(respelt)) == words
    assert read_line(respelt) == line


def notes_of(expression: str, timezone: str, start: str, count: int) -> list[str | None]:
    schedule, at = cron(expression, timezone), datetime.fromisoformat(start)
    notes = []
    for _ in range(count):
        following = next_fire_at_or_after(schedule, at)
        assert following is not None
        notes.append(daylight_note(schedule, following))
        at = just_after(following)
    return notes


def test_a_local_time_that_does_not_exist_is_said_to_be_moved() -> None:
    assert notes_of("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00Z", 3) == [
        None,
        "02:30 does not exist on 2026-03-29: the clocks go forward from 02:00 to 03:00,"
        " when it fires instead.",
        None,
    ]
    [moved] = notes_of("45 23 * * *", "America/Santiago", "2026-09-05T20:00Z", 1)
    assert moved is None
    [moved] = notes_of("15 0 * * *", "America/Santiago", "2026-09-05T20:00Z", 1)
    assert moved is not None
    assert moved.startswith("00:15 does not exist on 2026-09-06")


def test_a_local_time_that_comes_twice_is_said_to_fire_once_or_each_time() -> None:
    [once] = notes_of("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", 1)
    twice = notes_of("30 * * * *", "Europe/Berlin", "2026-10-25T00:00Z", 3)

    back = "02:30 comes twice on 2026-10-25, when the clocks go back; it fires"
    assert once == f"{back} the first time only."
    assert twice == [f"{back} each time.", f"{back} each time.", None]


def test_half_an_hour_of_daylight_saving_is_said_to_the_minute() -> None:
    [moved] = notes_of("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", 1)

    assert moved == (
        "02:15 does not exist on 2026-10-04: the clocks go forward from 02:00 to 02:30,"
        " when it fires instead."
    )


def test_what_is_not_cron_goes_by_no_wall_clock() -> None:
    assert daylight_note(once(START), START) is None
    assert daylight_note(every(START, timedelta(hours=1)), START) is None
