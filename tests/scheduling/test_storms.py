"""More triggers than a batch, or in more shards than there are workers, due at one instant."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.scheduling import batch, dispatcher, repository
from event_trigger.scheduling.commits import Commits
from event_trigger.scheduling.dispatcher import WORKERS, fire_due
from event_trigger.scheduling.due_spans import DueSpans
from event_trigger.scheduling.repository import DecidedTrigger, DueTriggers
from tests.support.due import fire_all
from tests.support.locks import lock_row, locked_trigger, until_somebody_waits
from tests.support.planting import plant_triggers
from tests.support.services import BOB
from tests.support.waiting import eventually

BATCHES = 12

Record = Callable[[DueTriggers, Sequence[DecidedTrigger]], Awaitable[DueSpans]]


async def fired_once(database: Any) -> list[int]:
    rows = await database.fetch("SELECT trigger_id FROM events ORDER BY trigger_id")
    return [row["trigger_id"] for row in rows]


class Together:
    """Holds the first batches back until so many are being recorded at once."""

    def __init__(self, count: int) -> None:
        self._met = asyncio.Barrier(count)
        self._record = DueTriggers.record_fired
        self._are_met = False

    @property
    def record_fired(self) -> Record:
        async def record(due: DueTriggers, fired: Sequence[DecidedTrigger]) -> DueSpans:
            if not self._are_met:
                async with asyncio.timeout(30):
                    await self._met.wait()
                self._are_met = True
            return await self._record(due, fired)

        return record


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "TRIGGERS_PER_BATCH", 10)


async def test_as_many_batches_as_there_are_workers_are_fired_at_once(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = await plant_triggers(database, BATCHES * 10)
    together = Together(WORKERS)

    monkeypatch.setattr(DueTriggers, "record_fired", together.record_fired)
    await fire_all(database_url)

    assert await fired_once(database) == planted


async def test_a_trigger_locked_in_the_middle_is_fired_when_it_is_unlocked(
    database_url: str, database: Any
) -> None:
    planted = await plant_triggers(database, BATCHES * 10)
    held = planted[35]

    async with database.transaction():
        await lock_row(database, "triggers", held)
        firing = asyncio.create_task(fire_all(database_url))
        others = [one for one in planted if one != held]
        await eventually(lambda: fired_once(database), lambda seen: seen == others)
    await firing
    await fire_all(database_url)

    assert await fired_once(database) == planted


async def test_workers_share_the_late_batches_of_many_shards(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_at = datetime.now(UTC) - timedelta(seconds=5)
    owners = [row["id"] for row in await database.fetch("SELECT id FROM users")]
    planted = [await plant_triggers(database, 3, owner_id=one, due_at=due_at) for one in owners]
    together = Together(WORKERS)

    monkeypatch.setattr(DueTriggers, "record_fired", together.record_fired)
    await fire_all(database_url)

    assert len(owners) >= WORKERS
    assert await fired_once(database) == sorted(chain.from_iterable(planted))


async def test_what_becomes_due_while_the_only_worker_waits_for_a_lock_is_fired(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "LATE_LOCK_TIMEOUT", "10min")
    monkeypatch.setattr(dispatcher, "RUN_SECONDS", 600)
    [held] = await plant_triggers(database, due_at=datetime.now(UTC) - timedelta(minutes=1))
    engine = create_engine(database_url)
    commits = Commits(create_sessions(engine), lambda: None)

    async with locked_trigger(database_url, held):
        firing = asyncio.create_task(fire_due(commits))
        await until_somebody_waits(database)
        planted = await plant_triggers(database, 3, owner_id=BOB)
        await eventually(lambda: fired_once(database), lambda seen: seen == planted)
    await firing
    await commits.end()
    await engine.dispose()

    assert await fired_once(database) == [held, *planted]
