"""Due instants fire or go on record, as `catch_up` says: none is left out or done twice."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.models import UnfiredReason
from event_trigger.triggers.schedule.catch_up import Decision, decide
from event_trigger.triggers.schedule.plan import CatchUp, Plan, UnfiredInstants
from event_trigger.triggers.schedule.schedules import (
    InstantRange,
    Schedule,
    is_recurring,
    next_fire_at_or_after,
)
from tests.support.schedules import cron, every, once

INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOON = datetime(2026, 3, 13, 12, tzinfo=UTC)
HOURLY = every(NOON, HOUR)
STEPS = 2500
MISSED, COALESCED, EXPIRED = (
    UnfiredReason.MISSED,
    UnfiredReason.COALESCED,
    UnfiredReason.EXPIRED,
)

delays = st.timedeltas(timedelta(0), 4 * DAY)
crons = st.sampled_from(["*/20 * * * *", "0 * * * *", "30 2 * * *", "@daily", "0 9 * * 1-5"])
zones = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"])


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    until = draw(st.none() | st.just(NOON + draw(delays)))
    kind = draw(st.sampled_from([once, every, cron]))
    if kind is once:
        return once(NOON + draw(delays))
    if kind is every:
        return every(NOON + draw(delays), draw(st.timedeltas(MINUTE, 2 * DAY)), until)
    return cron(draw(crons), draw(zones), until)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    schedule = draw(schedules())
    limit = None if not is_recurring(schedule) else draw(st.none() | st.integers(1, 5))
    window = draw(st.sampled_from([timedelta(0), 10 * MINUTE, 5 * HOUR, DAY]))
    return Plan(schedule, limit, draw(st.sampled_from(CatchUp)), window)


@dataclass(frozen=True)
class Walked:
    """The due instants and the one that follows, found by walking."""

    waiting: list[datetime]
    following: datetime | None


def walk(schedule: Schedule, *, planned: datetime, now: datetime) -> Walked:
    waiting, at = [], planned
    while at <= now:
        waiting.append(at)
        assume(len(waiting) < STEPS)
        step = next_fire_at_or_after(schedule, just_after(at))
        if step is None:
            return Walked(waiting, None)
        at = step
    return Walked(waiting, at)


def to_fire(plan: Plan, waiting: list[datetime], now: datetime) -> list[datetime]:
    """Decides on due instants one by one, as docs/schedules.md says."""
    missed = [one for one in waiting if now - one > 5 * SECOND]
    on_time = waiting[len(missed) :]
    caught_up = [one for one in missed if now - one <= plan.catch_up_window]
    match plan.catch_up:
        case CatchUp.ALL:
            return caught_up[-1000:] + on_time
        case CatchUp.LATEST:
            return caught_up[-1:] + on_time
        case CatchUp.NONE:
            return on_time


def of(reason: UnfiredReason, first: datetime, last: datetime, count: int) -> UnfiredInstants:
    return UnfiredInstants(InstantRange(first, last, count), reason)


def test_an_instant_that_has_come_fires_and_the_next_is_planned() -> None:
    for policy in CatchUp:
        decision = decide(Plan(HOURLY, catch_up=policy), planned=NOON, now=NOON, fired=0)

        assert decision == Decision((NOON,), (), NOON, NOON + HOUR)


@pytest.mark.parametrize("policy", CatchUp)
def test_a_stall_of_seconds_costs_no_instant_whatever_catch_up_says(policy: CatchUp) -> None:
    plan = Plan(every(NOON, SECOND), catch_up=policy, catch_up_window=timedelta(0))

    decision = decide(plan, planned=NOON, now=NOON + 5 * SECOND, fired=0, most=100)

    assert decision.fires == tuple(NOON + number * SECOND for number in range(6))
    assert decision.unfired == ()
    assert decision.next_fire_at == NOON + 6 * SECOND


def test_after_downtime_the_newest_missed_instant_fires_and_each_that_is_on_time() -> None:
    now = NOON + 60 * SECOND

    decision = decide(Plan(every(NOON, SECOND)), planned=NOON, now=now, fired=0, most=100)

    coalesced = of(COALESCED, NOON, NOON + 53 * SECOND, 54)
    assert decision.fires == tuple(NOON + number * SECOND for number in range(54, 61))
    assert decision.unfired == (coalesced,)


def test_of_several_missed_instants_only_the_newest_fires_and_stands_for_the_others() -> None:
    late = decide(Plan(HOURLY), planned=NOON, now=NOON + 3 * HOUR + MINUTE, fired=0)
    hardly = decide(Plan(HOURLY), planned=NOON, now=NOON + 3 * HOUR, fired=0, most=2)

    coalesced = of(COALESCED, NOON, NOON + 2 * HOUR, 3)
    assert late == Decision((NOON + 3 * HOUR,), (coalesced,), NOON + 3 * HOUR, NOON + 4 * HOUR)
    assert hardly.fires == (NOON + 2 * HOUR, NOON + 3 * HOUR)
    assert hardly.unfired == (of(COALESCED, NOON, NOON + HOUR, 2),)


def test_what_is_older_than_the_window_has_expired_and_is_not_said_to_be_coalesced() -> None:
    plan = Plan(HOURLY, catch_up_window=2 * HOUR)

    decision = decide(plan, planned=NOON, now=NOON + 5 * HOUR + 6 * SECOND, fired=0)

    expired = of(EXPIRED, NOON, NOON + 3 * HOUR, 4)
    coalesced = of(COALESCED, NOON + 4 * HOUR, NOON + 4 * HOUR, 1)
    assert decision.unfired == (expired, coalesced)
    assert decision.fires == (NOON + 5 * HOUR,)


def test_catching_up_with_all_fires_the_oldest_first_and_leaves_the_others_due() -> None:
    plan = Plan(HOURLY, catch_up=CatchUp.ALL)

    first = decide(plan, planned=NOON, now=NOON + 3 * HOUR, fired=0, most=3)
    second = decide(plan, planned=NOON + 3 * HOUR, now=NOON + 3 * HOUR, fired=3, most=3)

    assert first == Decision(
        (NOON, NOON + HOUR, NOON + 2 * HOUR), (), NOON + 2 * HOUR, NOON + 3 * HOUR
    )
    assert second == Decision((NOON + 3 * HOUR,), (), NOON + 3 * HOUR, NOON + 4 * HOUR)


def test_all_looks_back_on_a_thousand_missed_instants_at_the_most() -> None:
    plan = Plan(every(NOON, SECOND), catch_up=CatchUp.ALL)
    last = NOON + 8 * HOUR

    decision = decide(plan, planned=NOON, now=last, fired=0, most=2)

    oldest = last - (5 + 1000) * SECOND
    assert decision.fires == (oldest, oldest + SECOND)
    assert decision.unfired == (of(EXPIRED, NOON, oldest - SECOND, 8 * 3600 - 1005),)


@pytest.mark.parametrize(("late_by", "fires"), [(5 * SECOND, True), (5 * SECOND + INSTANT, False)])
def test_without_catching_up_an_instant_fires_within_five_seconds_or_never(
    late_by: timedelta, *, fires: bool
) -> None:
    plan = Plan(HOURLY, catch_up=CatchUp.NONE)

    decision = decide(plan, planned=NOON, now=NOON + late_by, fired=0)

    assert decision.fires == ((NOON,) if fires else ())
    assert decision.unfired == (() if fires else (of(MISSED, NOON, NOON, 1),))
    assert decision.next_fire_at == NOON + HOUR


def test_without_catching_up_all_that_are_on_time_fire_and_no_other() -> None:
    plan = Plan(every(NOON, SECOND), catch_up=CatchUp.NONE)

    decision = decide(plan, planned=NOON, now=NOON + 60 * SECOND, fired=0, most=100)

    assert decision.fires == tuple(NOON + number * SECOND for number in range(55, 61))
    assert decision.unfired == (of(MISSED, NOON, NOON + 54 * SECOND, 55),)


def test_what_was_coalesced_does_not_count_toward_max_fires() -> None:
    plan = Plan(HOURLY, max_fires=2)

    first = decide(plan, planned=NOON, now=NOON + 5 * HOUR + MINUTE, fired=0)
    second = decide(plan, planned=NOON + 6 * HOUR, now=NOON + 6 * HOUR, fired=1)

    assert (first.fires, first.next_fire_at) == ((NOON + 5 * HOUR,), NOON + 6 * HOUR)
    assert (second.fires, second.next_fire_at) == ((NOON + 6 * HOUR,), None)


def test_catching_up_with_all_ends_with_max_fires() -> None:
    plan = Plan(HOURLY, max_fires=3, catch_up=CatchUp.ALL)

    decision = decide(plan, planned=NOON, now=NOON + 9 * HOUR, fired=1, most=100)

    assert decision == Decision((NOON, NOON + HOUR), (), NOON + HOUR, None)


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
    decision = decide(Plan(once(NOON)), planned=NOON, now=NOON + late_by, fired=0)

    assert decision.fires == ((NOON,) if fires else ())
    assert decision.unfired == (() if fires else (of(EXPIRED, NOON, NOON, 1),))
    assert decision.next_fire_at is None


def test_a_window_of_nothing_still_fires_what_is_on_time() -> None:
    plan = Plan(HOURLY, catch_up_window=timedelta(0))

    hardly = decide(plan, planned=NOON, now=NOON + 5 * SECOND, fired=0)
    late = decide(plan, planned=NOON, now=NOON + 6 * SECOND, fired=0)

    assert (hardly.fires, late.fires) == ((NOON,), ())


def test_until_is_the_last_that_fires_even_when_it_was_missed() -> None:
    plan = Plan(every(NOON, HOUR, until=NOON + 2 * HOUR))

    on_time = decide(plan, planned=NOON + 2 * HOUR, now=NOON + 2 * HOUR, fired=2)
    late = decide(plan, planned=NOON, now=NOON + 20 * HOUR, fired=0)
    too_late = decide(plan, planned=NOON, now=NOON + 27 * HOUR, fired=0)

    assert on_time.fires == late.fires == (NOON + 2 * HOUR,)
    assert too_late.fires == ()
    assert on_time.next_fire_at is late.next_fire_at is too_late.next_fire_at is None


def test_an_instant_off_the_grid_fires_as_it_was_planned() -> None:
    planned = NOON + 10 * MINUTE
    for policy in CatchUp:
        decision = decide(
            Plan(HOURLY, catch_up=policy), planned=planned, now=planned + SECOND, fired=0
        )

        assert (decision.fires, decision.next_fire_at) == ((planned,), NOON + HOUR)


@given(plan=plans(), fired=st.integers(0, 4), late_by=delays, most=st.integers(1, 50))
def test_every_instant_that_waits_fires_or_is_on_record_or_still_waits(
    plan: Plan, fired: int, late_by: timedelta, most: int
) -> None:
    planned = next_fire_at_or_after(plan.schedule, NOON - DAY)
    assume(planned is not None)
    assume(plan.max_fires is None or fired < plan.max_fires)
    assert planned is not None
    now = planned + late_by
    walked = walk(plan.schedule, planned=planned, now=now)
    wanted = to_fire(plan, walked.waiting, now)
    left = most if plan.max_fires is None else min(most, plan.max_fires - fired)

    decision = decide(plan, planned=planned, now=now, fired=fired, most=most)

    assert list(decision.fires) == wanted[:left]
    settled = [one for one in walked.waiting if one <= decision.settled_until]
    unfired = [one for one in settled if one not in decision.fires]
    recorded = [
        one
        for part in decision.unfired
        for one in settled
        if part.instants.first <= one <= part.instants.last
    ]
    assert recorded == unfired
    assert sum(part.instants.count for part in decision.unfired) == len(unfired)
    spent = plan.max_fires is not None and fired + len(decision.fires) >= plan.max_fires
    rest = [one for one in walked.waiting if one > decision.settled_until]
    assert decision.next_fire_at == (None if spent else [*rest, walked.following][0])


@given(plan=plans(), late_by=delays)
def test_catching_up_again_and_again_fires_all_that_should_and_ends(
    plan: Plan, late_by: timedelta
) -> None:
    planned = next_fire_at_or_after(plan.schedule, NOON - DAY)
    assume(planned is not None)
    assert planned is not None
    now, fired = planned + late_by, list[datetime]()
    walked = walk(plan.schedule, planned=planned, now=now)

    at: datetime | None = planned
    while at is not None and at <= now:
        decision = decide(plan, planned=at, now=now, fired=len(fired), most=7)
        fired += decision.fires
        at = decision.next_fire_at

    assert fired == to_fire(plan, walked.waiting, now)[: plan.max_fires]
