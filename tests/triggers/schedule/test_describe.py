"""Schedules are described in words, and so are instants that daylight saving moved."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.cron import parse_cron
from event_trigger.triggers.schedule.describe import describe
from event_trigger.triggers.schedule.dst import daylight_note
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.schedules import (
    Cron,
    Every,
    Once,
    Schedule,
    next_fire_at_or_after,
)

START = datetime(2026, 3, 13, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 9 * * mon-fri", "At 09:00 on Monday to Friday"),
        ("0 9 * * 7", "At 09:00 on Sunday"),
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
        ("7 */2 * * *", "At minute 7 of every second hour"),
        ("0 */2 * * *", "Every 2 hours"),
        ("5 8-20/3 * * *", "At 08:05, 11:05, 14:05, 17:05 and 20:05 every day"),
        ("7 1-23/2 * * *", "At minute 7 of hours 1 to 23 in steps of 2 every day"),
        ("0,30 9,12,17 * * *", "At 09:00, 09:30, 12:00, 12:30, 17:00 and 17:30 every day"),
        ("30 2 1 * 1", "At 02:30 on day 1 of the month, or on Monday"),
        ("30 2 1,15 * 0,6", "At 02:30 on days 1 and 15 of the month, or on Saturday or Sunday"),
        (
            "0 0 */2 * 1",
            "At 00:00 on days 1 to 31 in steps of 2 of the month, if that is a Monday",
        ),
        ("0 0 * 1,3,6-8 *", "At 00:00 every day in January, March and June to August"),
        ("0 0 1 */3 *", "At 00:00 on January 1, April 1, July 1 and October 1"),
        (
            "0 0 1 */2 *",
            "At 00:00 on day 1 of the month in January, March, May, July, September and November",
        ),
        ("2 1 3 jan mon", "At 01:02 on day 3 of the month, or on Monday, in January"),
        ("0 21 * * 0-4", "At 21:00 on Sunday to Thursday"),
        ("0 21 * * 6-7,1", "At 21:00 on Saturday to Monday"),
        ("0 21 * * 7,1,3", "At 21:00 on Sunday, Monday and Wednesday"),
        ("0 0 31 1-4 *", "At 00:00 on January 31 and March 31"),
        ("0 0 29 feb *", "At 00:00 on February 29"),
    ],
)
def test_a_cron_line_is_said_in_words(expression: str, words: str) -> None:
    assert describe(Cron(expression, "Europe/Berlin")) == f"{words}, Europe/Berlin"


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Once(START), "Once, at 2026-03-13T10:00:00Z"),
        (
            Every(START, timedelta(minutes=30)),
            "Every 30 minutes, counted from 2026-03-13T10:00:00Z",
        ),
        (Every(START, timedelta(days=1)), "Every day, counted from 2026-03-13T10:00:00Z"),
        (
            Every(START, timedelta(seconds=90), START + timedelta(days=1)),
            "Every 1 minute and 30 seconds, counted from 2026-03-13T10:00:00Z,"
            " until 2026-03-14T10:00:00Z",
        ),
        (Cron("0 9 * * *", "UTC", START), "At 09:00 every day, UTC, until 2026-03-13T10:00:00Z"),
    ],
)
def test_times_and_intervals_are_said_in_words(schedule: Schedule, words: str) -> None:
    assert describe(schedule) == words


def numbers(lowest: int, highest: int) -> st.SearchStrategy[str]:
    one = st.integers(lowest, highest).map(str)
    return st.just("*") | st.lists(one, min_size=1, max_size=20).map(",".join)


@settings(deadline=None)
@given(
    st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), numbers(0, 7)).map(
        " ".join
    )
)
def test_every_cron_line_has_a_short_sentence_that_is_its_meanings_alone(expression: str) -> None:
    try:
        calendar = parse_cron(expression, "UTC").calendar
    except ScheduleError:
        assume(False)
    respelt = " ".join(
        text if text == "*" else ",".join(sorted(set(text.split(",")), key=int, reverse=True))
        for text in expression.split()
    )

    words = describe(Cron(expression))

    assert words[0].isupper()
    assert len(words) < 600
    assert describe(Cron(respelt)) == words
    assert parse_cron(respelt, "UTC").calendar.minutes == calendar.minutes


def notes_of(expression: str, timezone: str, start: str, count: int) -> list[str | None]:
    schedule, at = Cron(expression, timezone), datetime.fromisoformat(start)
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
    assert daylight_note(Once(START), START) is None
    assert daylight_note(Every(START, timedelta(hours=1)), START) is None
