"""A note names every local time that a clock change has moved or merged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from event_trigger.triggers.schedule.describe import daylight_note
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.schedules import Schedule

AT = datetime(2027, 3, 28, 1, tzinfo=UTC)  # the clocks go from 02:00 to 03:00 in Berlin
ON = "not exist on 2027-03-28: the clocks go forward from 02:00 to 03:00, when"
BEGIN = {"time": "2026-01-01T02:30"}


def note(details: dict[str, Any], at: datetime = AT) -> str | None:
    return daylight_note(schedule(details), at)


def schedule(details: dict[str, Any]) -> Schedule:
    return schedule_from({**details, "timezone": "Europe/Berlin"}, anchor=AT)


@pytest.mark.parametrize(
    ("details", "sentence"),
    [
        ({"cron": "30 2 * * *"}, f"02:30 does {ON} it fires instead."),
        (
            {"cron": ["30 2 * * *", "0 3 * * *"]},
            f"02:30 does {ON} it fires once, together with 03:00.",
        ),
        ({"cron": "*/20 2 * * *"}, f"02:00, 02:20 and 02:40 do {ON} they fire once, together."),
        (
            {"cron": "*/5 2,3 * * *"},
            "The 12 local times of the schedule from 02:00 to 02:55 do"
            f" {ON} they fire once, together with 03:00.",
        ),
        ({**BEGIN, "interval": "P1D", "recurring": True}, f"02:30 does {ON} it fires instead."),
        (
            {**BEGIN, "rrule": "FREQ=DAILY;BYMINUTE=0,30"},
            f"02:00 and 02:30 do {ON} they fire once, together.",
        ),
        ({"time": "2027-03-28T02:10"}, f"02:10 does {ON} it fires instead."),
        ({"cron": "0 3 * * *"}, None),
        ({"cron": "*/5 * * * *"}, None),  # it fires each real occurrence, and none is lost
    ],
)
def test_a_gap_is_named(details: dict[str, Any], sentence: str | None) -> None:
    assert note(details) == sentence


def test_a_start_at_the_second_of_two_equal_local_times_is_named() -> None:
    at = datetime(2027, 10, 31, 1, 30, tzinfo=UTC)

    assert note({"time": at.isoformat(), "interval": "P1D", "recurring": True}, at) == (
        "02:30 comes twice on 2027-10-31, when the clocks go back;"
        " the schedule begins the second time."
    )


def test_an_hour_that_comes_twice_is_named() -> None:
    at = datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    twice = "02:30 comes twice on 2027-10-31, when the clocks go back; it fires"

    assert note({"cron": "30 2 * * *"}, at) == f"{twice} the first time only."
    assert note({"cron": "30 * * * *"}, at) == f"{twice} each time."
    assert note({**BEGIN, "interval": "P1D", "recurring": True}, at) == (
        f"{twice} the first time only."
    )


def test_a_note_says_how_much_later_the_spread_makes_it() -> None:
    shift = timedelta(minutes=1)
    spread = schedule({"cron": "30 2 * * *"})._replace(shift=shift)

    assert daylight_note(spread, AT + shift) == (
        f"02:30 does {ON} it fires instead. The spread makes that 1 minute later."
    )
