"""The arithmetic of heartbeats: when a ping is expected, and when its absence says something."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.heartbeat import (
    Alive,
    Outage,
    Silent,
    Unjudged,
    heartbeat_of,
    judge,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
HOURLY = heartbeat_of({"interval": 60, "grace": "PT5M"})

spans = st.integers(0, 4 * 3600).map(lambda seconds: START + timedelta(seconds=seconds))
outages = st.lists(st.tuples(spans, spans).map(sorted), max_size=4)


def test_the_next_ping_of_an_interval_is_expected_one_interval_after_the_last() -> None:
    assert HOURLY.expected_after(START) == START + HOUR
    assert HOURLY.deadline_after(START) == START + HOUR + 5 * MINUTE


def test_the_next_ping_of_a_cron_is_expected_at_its_next_match_after_the_last() -> None:
    nightly = heartbeat_of({"cron": "0 2 * * *", "timezone": "Europe/Berlin", "grace": "PT1H"})

    pinged_at = datetime(2026, 3, 27, 1, 0, 5, tzinfo=UTC)  # 02:00:05 in Berlin

    assert nightly.expected_after(pinged_at) == datetime(2026, 3, 28, 1, tzinfo=UTC)
    # on the 29th 02:00 does not exist: clocks go from 02:00 to 03:00
    assert nightly.expected_after(datetime(2026, 3, 28, 1, tzinfo=UTC)) == datetime(
        2026, 3, 29, 1, tzinfo=UTC
    )


def test_without_a_grace_it_is_five_minutes() -> None:
    assert heartbeat_of({"interval": 60}) == HOURLY


@pytest.mark.parametrize(
    ("details", "field"),
    [
        ({"grace": "PT5M"}, None),
        ({"interval": 5, "cron": "@daily"}, "cron"),
        ({"interval": 5, "timezone": "Europe/Berlin"}, "timezone"),
        ({"interval": "P1M"}, "interval"),
        ({"interval": 0}, "interval"),
        ({"interval": 5, "grace": "PT0.5S"}, "grace"),
        ({"interval": 5, "grace": "P31D"}, "grace"),
        ({"interval": 5, "grace": "5 minutes"}, "grace"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "@daily", "timezone": "Mars/Olympus"}, "timezone"),
    ],
)
def test_other_details_are_refused_where_they_are_wrong(
    details: dict[str, Any], field: str | None
) -> None:
    with pytest.raises(ScheduleError) as refused:
        heartbeat_of(details)

    assert refused.value.field == field


@pytest.mark.parametrize("grace", ["PT1S", "P30D"])
def test_a_grace_is_from_a_second_to_thirty_days(grace: str) -> None:
    assert heartbeat_of({"interval": 1, "grace": grace}).grace


def test_a_heartbeat_is_silent_from_its_deadline_on_and_not_before() -> None:
    deadline_at = START + HOUR + 5 * MINUTE

    before = judge(HOURLY, base=START, now=deadline_at - timedelta(microseconds=1))

    assert before == Alive(deadline_at)
    assert judge(HOURLY, base=START, now=deadline_at) == Silent(deadline_at)


def test_an_outage_when_a_ping_was_to_come_makes_no_alarm() -> None:
    outage = Outage(START + HOUR - MINUTE, START + HOUR + 3 * MINUTE)

    found = judge(HOURLY, base=START, now=START + HOUR + 5 * MINUTE, outages=[outage])

    assert isinstance(found, Unjudged)
    assert found.base == outage.ended_at
    assert found.next_deadline_at == outage.ended_at + HOUR + 5 * MINUTE


def test_an_outage_long_before_a_ping_was_to_come_excuses_nothing() -> None:
    outage = Outage(START + 10 * MINUTE, START + 20 * MINUTE)

    found = judge(HOURLY, base=START, now=START + 2 * HOUR, outages=[outage])

    assert isinstance(found, Silent)


@given(st.integers(1, 7200), st.integers(1, 7200), spans, outages)
def test_a_judgement_is_silent_only_if_the_service_could_have_heard_the_ping(
    interval: int, grace: int, now: datetime, down: list[list[datetime]]
) -> None:
    heartbeat = heartbeat_of({"interval": f"PT{interval}S", "grace": f"PT{grace}S"})
    outages_ = [Outage(*one) for one in down if one[1] <= now]

    found = judge(heartbeat, base=START, now=now, outages=outages_)

    deadline_at = START + timedelta(seconds=interval + grace)
    first = max(START, START + timedelta(seconds=interval - max(grace, 60)))
    deaf = [one for one in outages_ if one.began_at < deadline_at and one.ended_at > first]
    if now < deadline_at:
        assert found == Alive(deadline_at)
    elif not deaf:
        assert found == Silent(deadline_at)
    else:
        assert isinstance(found, Unjudged)
        assert found.base == max(one.ended_at for one in deaf) > START
        assert found.next_deadline_at > found.deadline_at or found.base < deadline_at
