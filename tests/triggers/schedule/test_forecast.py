"""A forecast merges what each trigger plans, in order, and says where it is cut."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from event_trigger.triggers.schedule.forecast import PlannedTrigger, counts_by_step, forecast
from event_trigger.triggers.schedule.plan import plan_of
from event_trigger.triggers.schedule.schedules import instants_in

NOW = datetime(2027, 3, 1, tzinfo=UTC)
DETAILS: list[dict[str, Any]] = [
    {"interval": 7, "recurring": True},
    {"interval": 60, "recurring": True, "max_fires": 5},
    {"cron": "*/20 * * * *"},
    {"cron": "0 9 * * mon", "timezone": "Europe/Berlin"},
    {"time": "2027-03-01T12:00:00Z"},
]
minutes = st.integers(0, 3 * 24 * 60).map(lambda count: timedelta(minutes=count))


@st.composite
def triggers(draw: st.DrawFn) -> list[PlannedTrigger]:
    """Draws triggers as they are stored, sorted by their next instants."""
    made = []
    for number, details in enumerate(draw(st.lists(st.sampled_from(DETAILS), max_size=6)), 1):
        anchor = NOW - draw(minutes)
        plan = plan_of(details, anchor=anchor)
        fired = draw(st.integers(0, 4))
        next_at = plan.next_at_or_after(NOW, fired=fired)
        if next_at is not None:
            made.append(
                PlannedTrigger(number, None, None, json.dumps(details), anchor, next_at, fired)
            )
    return sorted(made, key=lambda one: (one.next_fire_at, one.id))


def planned(trigger: PlannedTrigger, since: datetime, until: datetime) -> list[datetime]:
    """Walks all instants from the next one on, and drops those before the window."""
    plan = plan_of(json.loads(trigger.details), anchor=trigger.anchor_at)
    left = None if plan.max_fires is None else plan.max_fires - trigger.scheduled_count
    walk = list(instants_in(plan.schedule, since=trigger.next_fire_at, until=until))[:left]
    return [one for one in walk if one >= since]


@given(triggers(), minutes, minutes, st.integers(1, 50))
def test_it_is_what_all_triggers_plan_in_order(
    made: list[PlannedTrigger], later: timedelta, span: timedelta, most: int
) -> None:
    since, until = NOW + later, NOW + later + span
    expected = sorted((at, one.id) for one in made for at in planned(one, since, until))

    found = forecast(made, since=since, until=until, most=most, is_over=lambda: False)

    assert [(one.at, one.trigger.id) for one in found.firings] == expected[:most]
    is_cut = len(expected) > most
    assert found.complete_until == (expected[most - 1][0] if is_cut else None)


@given(triggers(), minutes.filter(bool), st.integers(0, 5))
def test_out_of_time_it_is_complete_as_far_as_it_says(
    made: list[PlannedTrigger], span: timedelta, begun: int
) -> None:
    times = iter([False] * begun)

    found = forecast(
        made, since=NOW, until=NOW + span, most=1000, is_over=lambda: next(times, True)
    )

    until = found.complete_until or NOW + span
    expected = sorted((at, one.id) for one in made for at in planned(one, NOW, until))
    assert [(one.at, one.trigger.id) for one in found.firings if one.at < until] == expected


@given(
    triggers(), minutes.filter(bool), st.sampled_from([timedelta(minutes=5), timedelta(hours=1)])
)
def test_steps_count_each_firing_once(
    made: list[PlannedTrigger], span: timedelta, step: timedelta
) -> None:
    found = forecast(made, since=NOW, until=NOW + span, most=100_000, is_over=lambda: False)

    counts = counts_by_step(found.firings, since=NOW, until=NOW + span, step=step)

    assert sum(counts) == len(found.firings)
    assert (len(counts) - 1) * step < span <= len(counts) * step
