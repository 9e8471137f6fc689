"""Schedules are described once, and what is remembered of them takes little memory."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

from event_trigger.models import OnCompletion, Trigger, TriggerStatus, TriggerType
from event_trigger.triggers.schemas.reading import read_trigger

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_DATE = ANCHOR.date()
MOST_DATES = 1_000  # of a trigger
CONTENTS = 70  # more than the lists of dates that reading a schedule remembers


def stored(details: dict[str, Any], **columns: Any) -> Trigger:
    trigger = Trigger(
        id=1,
        type=TriggerType.SCHEDULED,
        status=TriggerStatus.ACTIVE,
        on_completion=OnCompletion.KEEP,
        details=details,
        tags=[],
        destinations=[],
        fire_count=0,
        created_at=ANCHOR,
        updated_at=ANCHOR,
        anchor_at=ANCHOR,
    )
    for name, value in columns.items():
        setattr(trigger, name, value)
    return trigger


def words_of(trigger: Trigger) -> str | None:
    return read_trigger(trigger, hook=None).words


def show_many(first: int, count: int) -> None:
    for number in range(first, first + count):
        dates = [str(FIRST_DATE + timedelta(days=number + one)) for one in range(MOST_DATES)]
        words_of(stored({"cron": "0 9 * * *", "except": dates}))


def test_thousands_of_dates_are_not_remembered_for_each_trigger() -> None:
    tracemalloc.start()
    try:
        show_many(0, CONTENTS)
        before, _ = tracemalloc.get_traced_memory()
        show_many(10_000, CONTENTS)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 2 * 1024 * 1024


def test_schedules_that_differ_in_one_column_are_described_apart() -> None:
    every, spread = {"interval": "PT7M"}, {"cron": "0 9 * * *", "spread": "PT1H"}
    excepting = [{"cron": "0 9 * * *", "except": [{"calendar": one}]} for one in "ab"]
    alike = [
        stored(every),
        stored(every, anchor_at=ANCHOR + timedelta(seconds=1)),
        stored(spread, shift_seconds=60),
        stored(spread, shift_seconds=120),
        *(stored(one, excluded_days=[20_500]) for one in excepting),
    ]

    first, second = [[words_of(one) for one in alike] for _ in range(2)]

    assert first == second
    assert len({*first}) == len(alike)
    assert None not in first
