"""Very many triggers of one shard, due at one instant."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.dispatch import dispatcher
from event_trigger.dispatch.dispatcher import WORKERS, fire_due
from event_trigger.dispatch.repository import Firing, Firings
from tests.support.planting import plant_triggers

BATCHES = 12


async def fire_all(database_url: str) -> None:
    engine = create_engine(database_url)
    sessions = create_sessions(engine)
    try:
        while await fire_due(sessions, lambda: None) == 0:
            pass
    finally:
        await engine.dispose()


async def fired_once(database: Any) -> list[int]:
    rows = await database.fetch("SELECT trigger_id FROM events ORDER BY trigger_id")
    return [row["trigger_id"] for row in rows]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "BATCH", 10)


async def test_as_many_batches_as_there_are_workers_are_fired_at_once(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = await plant_triggers(database, BATCHES * 10)
    record, met, recording = Firings.record_fired, asyncio.Event(), 0

    async def record_together(self: Firings, shard: int, firings: Sequence[Firing]) -> None:
        nonlocal recording
        recording += 1
        if recording == WORKERS:
            met.set()
        await asyncio.wait_for(met.wait(), 30)
        await record(self, shard, firings)
        recording -= 1

    monkeypatch.setattr(Firings, "record_fired", record_together)
    await fire_all(database_url)

    assert await fired_once(database) == planted


async def test_what_others_hold_in_the_middle_is_fired_when_they_let_it_go(
    database_url: str, database: Any
) -> None:
    planted = await plant_triggers(database, BATCHES * 10)
    held = planted[35]

    async with database.transaction():
        await database.execute("SELECT FROM triggers WHERE id = $1 FOR NO KEY UPDATE", held)
        firing = asyncio.create_task(fire_all(database_url))
        await asyncio.wait([firing], timeout=0.5)
        without = await fired_once(database)
    await firing
    await fire_all(database_url)

    assert held not in without
    assert await fired_once(database) == planted
