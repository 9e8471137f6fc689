"""What is due fires for its newest instant, within a day, as often as it may, and moves on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_trigger.dispatch.due import CATCH_UP_WINDOW, Due, due
from event_trigger.triggers.planning import Plan
from event_trigger.triggers.schedule import Cron, Every, Once, Schedule, next_fire_after

INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 13, 12, tzinfo=UTC)
HOURLY = Every(NOON, HOUR)

STEPS = 500

delays = st.timedeltas(timedelta(0), 4 * DAY)
limits = st.none() | st.integers(1, 5)
crons = st.sampled_from(["*/20 * * * *", "0 * * * *", "30 2 * * *", "@daily", "0 9 * * 1-5"])
zones = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"])


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    until = draw(st.none() | st.just(NOON + draw(delays)))
    kind = draw(st.sampled_from([Once, Every, Cron]))
    if kind is Once:
        return Once(NOON + draw(delays))
    if kind is Every:
        return Every(NOON + draw(delays), draw(st.timedeltas(SECOND, 2 * DAY)), until)
    return Cron(draw(crons), draw(zones), until)


def test_an_instant_that_has_come_fires_and_the_next_is_planned() -> None:
    plan = Plan(HOURLY, max_fires=None)

    decision = due(plan, planned=NOON, now=NOON, fired=0)

    assert decision == Due(scheduled_for=NOON, next_fire_at=NOON + HOUR)


def test_of_several_missed_instants_only_the_newest_fires() -> None:
    plan = Plan(HOURLY, max_fires=None)

    late = due(plan, planned=NOON, now=NOON + 3 * HOUR + MINUTE, fired=0)
    exact = due(plan, planned=NOON, now=NOON + 3 * HOUR, fired=0)

    assert late == Due(scheduled_for=NOON + 3 * HOUR, next_fire_at=NOON + 4 * HOUR)
    assert exact == late


def test_what_was_coalesced_does_not_count_toward_max_fires() -> None:
    plan = Plan(HOURLY, max_fires=2)

    first = due(plan, planned=NOON, now=NOON + 5 * HOUR, fired=0)
    second = due(plan, planned=NOON + 6 * HOUR, now=NOON + 6 * HOUR, fired=1)

    assert first == Due(scheduled_for=NOON + 5 * HOUR, next_fire_at=NOON + 6 * HOUR)
    assert second == Due(scheduled_for=NOON + 6 * HOUR, next_fire_at=None)


@pytest.mark.parametrize(
    ("late_by", "fires"),
    [
        (timedelta(0), True),
        (1440 * MINUTE, True),
        (1440 * MINUTE + INSTANT, False),
        (30 * DAY, False),
    ],
)
def test_a_one_time_trigger_fires_once_if_it_was_missed_by_a_day_at_most(
    late_by: timedelta, *, fires: bool
) -> None:
    plan = Plan(Once(NOON), max_fires=None)

    decision = due(plan, planned=NOON, now=NOON + late_by, fired=0)

    assert decision == Due(scheduled_for=NOON if fires else None, next_fire_at=None)


def test_beyond_the_window_nothing_fires_or_counts_and_the_grid_goes_on() -> None:
    plan = Plan(Every(NOON, 3 * DAY), max_fires=1)

    decision = due(plan, planned=NOON, now=NOON + 2 * DAY, fired=0)

    assert decision == Due(scheduled_for=None, next_fire_at=NOON + 3 * DAY)


def test_until_is_the_last_that_fires_even_when_it_was_missed() -> None:
    plan = Plan(Every(NOON, HOUR, until=NOON + 2 * HOUR), max_fires=None)

    on_time = due(plan, planned=NOON + 2 * HOUR, now=NOON + 2 * HOUR, fired=2)
    late = due(plan, planned=NOON, now=NOON + 20 * HOUR, fired=0)
    too_late = due(plan, planned=NOON, now=NOON + 27 * HOUR, fired=0)

    assert on_time == late == Due(scheduled_for=NOON + 2 * HOUR, next_fire_at=None)
    assert too_late == Due(scheduled_for=None, next_fire_at=None)


def test_an_instant_off_the_grid_fires_as_it_was_planned() -> None:
    plan = Plan(HOURLY, max_fires=None)
    planned = NOON + 10 * MINUTE

    decision = due(plan, planned=planned, now=planned + MINUTE, fired=0)

    assert decision == Due(scheduled_for=planned, next_fire_at=NOON + HOUR)


@settings(deadline=None)
@given(schedule=schedules(), max_fires=limits, fired=st.integers(0, 6), late_by=delays)
def test_the_decision_is_what_walking_the_schedule_finds(
    schedule: Schedule, max_fires: int | None, fired: int, late_by: timedelta
) -> None:
    planned = next_fire_after(schedule, NOON - DAY)
    if planned is None:
        return
    now = planned + late_by
    at, newest, following = planned, planned, None
    steps = 0
    while (step := next_fire_after(schedule, at)) is not None and steps < STEPS:
        at, steps = step, steps + 1
        if step > now:
            following = step
            break
        newest = step
    if steps == STEPS:
        return  # a grid of seconds: too far to walk

    decision = due(Plan(schedule, max_fires), planned=planned, now=now, fired=fired)

    fires = now - newest <= CATCH_UP_WINDOW
    spent = max_fires is not None and fired + fires >= max_fires
    assert decision.scheduled_for == (newest if fires else None)
    assert decision.next_fire_at == (None if spent else following)


@settings(deadline=None)
@given(schedule=schedules(), max_fires=limits, late_by=delays)
def test_the_next_instant_is_always_to_come(
    schedule: Schedule, max_fires: int | None, late_by: timedelta
) -> None:
    planned = next_fire_after(schedule, NOON - DAY)
    if planned is None:
        return

    decision = due(Plan(schedule, max_fires), planned=planned, now=planned + late_by, fired=0)

    if decision.next_fire_at is not None:
        assert decision.next_fire_at > planned + late_by
    if decision.scheduled_for is not None:
        assert planned <= decision.scheduled_for <= planned + late_by
