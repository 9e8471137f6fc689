"""Stored JSON text gives the same plan as the details that it was written from."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from event_trigger.triggers.schedule.plan import plan_of, plan_of_stored

NOON = datetime(2026, 3, 13, 12, tzinfo=UTC)
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
INTERVALS = st.integers(1, 10_000) | st.sampled_from(["PT1S", "PT90M", "P1D"])
UNTIL = {"until": TIMES.map(datetime.isoformat)}
GRIDS = st.fixed_dictionaries(
    {"recurring": st.just(True), "interval": INTERVALS},
    optional={"time": TIMES.map(datetime.isoformat), "max_fires": st.integers(1, 9), **UNTIL},
)
ONCE = st.fixed_dictionaries({"interval": INTERVALS}) | st.fixed_dictionaries(
    {"time": TIMES.map(datetime.isoformat)}
)
CRONS = st.fixed_dictionaries(
    {"cron": st.sampled_from(["7 * * * *", "0 9 * * 1-5"])},
    optional={"timezone": st.just("Europe/Berlin"), "catch_up": st.just("all"), **UNTIL},
)


@given(GRIDS | ONCE | CRONS, st.lists(TIMES, min_size=2, max_size=3))
def test_it_is_the_plan_of_each_ones_anchor(
    details: dict[str, Any], anchors: list[datetime]
) -> None:
    stored = json.dumps(details)

    plans = [plan_of_stored(stored, anchor=anchor) for anchor in anchors]

    assert plans == [plan_of(details, anchor=anchor) for anchor in anchors]


def test_two_that_were_made_apart_fire_apart() -> None:
    stored = json.dumps({"recurring": True, "interval": "PT1H"})

    first, second = (
        plan_of_stored(stored, anchor=NOON + timedelta(minutes=minutes)) for minutes in (0, 7)
    )

    assert first.next_at_or_after(NOON, fired=0) == NOON + timedelta(minutes=60)
    assert second.next_at_or_after(NOON, fired=0) == NOON + timedelta(minutes=67)
