"""When a zone's rules change, no local time fires twice, and none is lost."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from event_trigger.instants import just_after
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import instants_in, next_fire_at_or_after
from event_trigger.triggers.schedule.zone_moves import (
    MovedPlan,
    PlanProgress,
    moved_plan,
    planned_by,
)
from event_trigger.triggers.schedule.zone_rules import Rules, zone_rules
from tests.support.schedules import cron
from tests.support.zones import zone_file

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = timedelta(days=1)
BEGIN = datetime(2027, 3, 1, tzinfo=UTC)
CRONS = ["0 9 * * *", "30 9,17 * * *", "0 9-17 * * *", "0,30 0 * * *", "45 23 * * 2"]


def rules(offset: timedelta) -> Rules:
    found = Rules.read("Test/Zone", "2090a", zone_file(offset))
    zone_rules().remember(found)
    return found


def plan_by(expression: str, offset: timedelta) -> Plan:
    return planned_by(Plan(cron(expression, "Test/Zone")), rules(offset).digest)


def settle(old: Plan, until: datetime) -> tuple[list[datetime], PlanProgress]:
    """Gives the instants fired before `until` by the old plan, and the progress then."""
    fired = list(instants_in(old.schedule, since=BEGIN, until=until))
    open_since = just_after(fired[-1]) if fired else BEGIN
    following = next_fire_at_or_after(old.schedule, open_since)
    return fired, PlanProgress(BEGIN, open_since, following, len(fired))


@pytest.mark.parametrize("by", [-2, -1, -0.5, 0.5, 1, 2])
@pytest.mark.parametrize("expression", CRONS)
def test_no_local_time_fires_twice_or_not_at_all(expression: str, by: float) -> None:
    before, later = 3 * HOUR, 3 * HOUR + by * HOUR
    old, new = plan_by(expression, before), plan_by(expression, later)
    for quarter in range(4 * 24):
        changed_at = BEGIN + 5 * DAY + quarter * 15 * MINUTE
        fired, at = settle(old, changed_at)

        move = moved_plan(old, new, at, past_differs=True)

        assert move is not None
        coming = list(instants_in(new.schedule, since=move.since, until=BEGIN + 16 * DAY))
        assert move.next_fire_at == coming[0]
        walls = [one + before for one in fired] + [one + later for one in coming]
        usual = instants_in(old.schedule, since=BEGIN, until=just_after(max(walls) - before))
        assert walls == sorted(walls)
        assert Counter(walls) == Counter(one + before for one in usual)


def test_expressions_that_run_at_least_hourly_go_by_real_time() -> None:
    old, new = plan_by("*/20 * * * *", 2 * HOUR), plan_by("*/20 * * * *", HOUR)
    fired, at = settle(old, BEGIN + DAY)

    move = moved_plan(old, new, at, past_differs=True)

    assert move == MovedPlan(just_after(fired[-1]), fired[-1] + 20 * MINUTE)


def test_what_moves_no_instant_moves_no_plan() -> None:
    plan = plan_by("0 9 * * *", HOUR)
    _, at = settle(plan, BEGIN + 3 * DAY)

    assert moved_plan(plan, plan, at, past_differs=False) is None
    assert moved_plan(None, plan, at, past_differs=False) is None


def test_a_trigger_that_has_not_fired_by_the_old_rules_begins_by_the_new_ones() -> None:
    old, new = plan_by("0 9 * * *", HOUR), plan_by("0 9 * * *", 0 * HOUR)
    made_at = BEGIN + 8 * HOUR + 20 * MINUTE  # 09:20 by the old rules, and 08:20 by the new ones
    at = PlanProgress(made_at, made_at, BEGIN + DAY + 8 * HOUR, 0)

    move = moved_plan(old, new, at, past_differs=True)

    assert move == MovedPlan(made_at, BEGIN + 9 * HOUR)


@pytest.mark.parametrize("by", [-1, 1])
def test_where_the_old_rules_are_unknown_what_was_planned_is_planned_where_it_is_now(
    by: int,
) -> None:
    old, new = plan_by("0 9 * * *", 2 * HOUR), plan_by("0 9 * * *", (2 + by) * HOUR)
    _, at = settle(old, BEGIN + 3 * DAY + 7 * HOUR + MINUTE)
    assert at.next_fire_at == BEGIN + 4 * DAY + 7 * HOUR

    move = moved_plan(None, new, at, past_differs=False)

    assert move is not None
    assert move.next_fire_at == at.next_fire_at - by * HOUR


def test_a_pause_is_not_caught_up_with_and_its_local_times_do_not_repeat() -> None:
    old, new = plan_by("0 9 * * *", HOUR), plan_by("0 9 * * *", 0 * HOUR)
    _, at = settle(old, BEGIN + 8 * HOUR + MINUTE)
    paused = at._replace(open_since=BEGIN + 8 * HOUR + 10 * MINUTE, next_fire_at=None)

    move = moved_plan(old, new, paused, past_differs=True)

    assert move == MovedPlan(just_after(BEGIN + 9 * HOUR), None)
    assert next_fire_at_or_after(new.schedule, move.since) == BEGIN + DAY + 9 * HOUR
