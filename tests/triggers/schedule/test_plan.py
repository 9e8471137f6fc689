"""Stored JSON text gives the same plan as the details that it was written from."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from event_trigger.triggers.schedule.details import Resolved
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


MORE = st.fixed_dictionaries(
    {},
    optional={
        "from": TIMES.map(datetime.isoformat),
        "except": st.just(["2026-12-25", {"calendar": "a"}]),
        "spread": st.just("PT1H"),
    },
)
RESOLVED = st.builds(
    Resolved,
    st.lists(st.integers(0, 30_000), max_size=3, unique=True).map(lambda days: tuple(sorted(days))),
    st.integers(0, 3599),
)


@given(GRIDS | ONCE | CRONS, MORE, st.lists(st.tuples(TIMES, RESOLVED), min_size=2, max_size=3))
def test_it_is_the_plan_of_each_ones_anchor_dates_and_shift(
    details: dict[str, Any], more: dict[str, Any], triggers: list[tuple[datetime, Resolved]]
) -> None:
    recurs = details.get("recurring") or "cron" in details
    whole = details | more if recurs else details
    assume(whole.get("from", "") <= whole.get("until", "9"))
    stored = json.dumps(whole)

    plans = [plan_of_stored(stored, anchor=anchor, resolved=one) for anchor, one in triggers]

    assert plans == [plan_of(whole, anchor=anchor, resolved=one) for anchor, one in triggers]


def test_dates_and_a_shift_count_only_where_details_name_them() -> None:
    left_behind = Resolved((1, 2), 60)

    plain = plan_of({"cron": "@daily"}, anchor=NOON, resolved=left_behind)
    both = plan_of(
        {"cron": "@daily", "except": ["1970-01-05", {"calendar": "a"}], "spread": "PT1H"},
        anchor=NOON,
        resolved=left_behind,
    )

    assert plain == plan_of({"cron": "@daily"}, anchor=NOON)
    assert [one.day for one in both.schedule.excluded] == [2, 3, 5]
    assert both.schedule.shift == timedelta(minutes=1)


def test_two_that_were_made_apart_fire_apart() -> None:
    stored = json.dumps({"recurring": True, "interval": "PT1H"})

    first, second = (
        plan_of_stored(stored, anchor=NOON + timedelta(minutes=minutes)) for minutes in (0, 7)
    )

    assert first.next_at_or_after(NOON, fired=0) == NOON + timedelta(minutes=60)
    assert second.next_at_or_after(NOON, fired=0) == NOON + timedelta(minutes=67)
