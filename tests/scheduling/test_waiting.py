"""The dispatcher fires a near instant on time, also if the event loop's clock is fast."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.scheduling.commits import Commits
from event_trigger.scheduling.dispatcher import LOCKED_WAIT_SECONDS, MOVED_WAIT_SECONDS, fire_due
from tests.support.databases import connect
from tests.support.locks import locked_trigger
from tests.support.planting import plant_triggers


class HastyLoop(asyncio.SelectorEventLoop):
    """Its clock gains a millisecond with each reading, as uvloop's can after a standstill."""

    looks = 0

    def time(self) -> float:
        self.looks += 1
        return super().time() + self.looks / 1000


async def wait_and_fire(database_url: str) -> tuple[list[float], int]:
    """Gives the waits that the dispatcher returned until it had fired, and the number of events."""
    database = await connect(database_url)
    await plant_triggers(database, due_at=datetime.now(UTC) + timedelta(seconds=0.1))
    engine, waits = create_engine(database_url), list[float]()
    commits = Commits(create_sessions(engine), lambda: None)
    stored = 0
    async with asyncio.timeout(60):
        while not stored:
            waits.append(await fire_due(commits))
            stored = await database.fetchval("SELECT count(*) FROM events")
    await commits.end()
    await engine.dispose()
    await database.close()
    return waits, stored


def test_an_instant_that_is_waited_for_fires_at_once(database_url: str) -> None:
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        waits, stored = runner.run(wait_and_fire(database_url))

    assert not {MOVED_WAIT_SECONDS, LOCKED_WAIT_SECONDS} & set(waits)
    assert stored == 1


async def test_a_locked_instant_is_tried_again_soon(database_url: str, database: Any) -> None:
    [held] = await plant_triggers(database, due_at=datetime.now(UTC) + timedelta(seconds=1))
    engine, waits = create_engine(database_url), list[float]()
    commits = Commits(create_sessions(engine), lambda: None)

    async with locked_trigger(database_url, held):
        while LOCKED_WAIT_SECONDS not in waits:
            waits.append(await fire_due(commits))
    waits.append(await fire_due(commits))
    await commits.end()
    await engine.dispose()

    assert waits[-3:-1] == [MOVED_WAIT_SECONDS, LOCKED_WAIT_SECONDS]
    assert await database.fetchval("SELECT count(*) FROM events") == 1
