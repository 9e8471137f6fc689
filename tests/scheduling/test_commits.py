"""On-time triggers fire while the commit of earlier ones takes long, each exactly once."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from event_trigger.db.engine import DATABASE_ERRORS, create_engine, create_sessions
from event_trigger.scheduling import dispatcher, due_shards, repository
from event_trigger.scheduling.commits import Commits
from event_trigger.scheduling.dispatcher import fire_due
from tests.support.databases import connect
from tests.support.due import fire_all
from tests.support.locks import until_somebody_waits
from tests.support.one_server import one_server
from tests.support.planting import plant_triggers
from tests.support.services import ADA, BOB
from tests.support.waiting import eventually

pytestmark = one_server("it has database triggers, which distributed tables cannot have")

# a COMMIT that has moved this trigger waits until the lock is free
_HOLD = """
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END
    $$;
    CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON triggers DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.id = {trigger_id}) EXECUTE FUNCTION hold();
"""
_END_WAITING = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'advisory'
"""


async def fired(database: Any) -> list[int]:
    rows = await database.fetch("SELECT trigger_id FROM events ORDER BY id")
    return [row["trigger_id"] for row in rows]


@asynccontextmanager
async def held_commit(database_url: str, database: Any) -> AsyncIterator[int]:
    """Gives a due trigger; until the block ends, the COMMIT of a batch that has fired it waits."""
    [trigger_id] = await plant_triggers(database, owner_id=ADA)
    await database.execute(_HOLD.format(trigger_id=trigger_id))
    holder = await connect(database_url)
    async with holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(1)")
        yield trigger_id
    await holder.close()


@pytest.fixture(autouse=True)
def _looks_again_only_after_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "REQUERY_SECONDS", math.inf)
    for module in (due_shards, repository):  # a busy machine makes nothing late
        monkeypatch.setattr(module, "LATE_AFTER", timedelta(hours=1))


async def test_what_becomes_due_during_a_commit_fires_at_once(
    database_url: str, database: Any
) -> None:
    async with held_commit(database_url, database) as held:
        firing = asyncio.create_task(fire_all(database_url))
        await until_somebody_waits(database)
        others = await plant_triggers(database, 3, owner_id=BOB)
        others += await plant_triggers(database, owner_id=ADA)
        await eventually(lambda: fired(database), lambda seen: sorted(seen) == others)
    await firing

    assert sorted(await fired(database)) == [held, *others]


async def test_triggers_whose_commit_is_lost_fire_once_all_the_same(
    database_url: str, database: Any
) -> None:
    engine = create_engine(database_url)
    commits = Commits(create_sessions(engine), lambda: None)

    async with held_commit(database_url, database) as lost:
        firing = asyncio.create_task(fire_due(commits))
        await until_somebody_waits(database)
        await database.execute(_END_WAITING)
        with pytest.raises(DATABASE_ERRORS):
            await firing
    while await fire_due(commits) == 0:
        pass
    await commits.end()
    await engine.dispose()

    assert await fired(database) == [lost]


async def test_a_dispatcher_that_is_cancelled_leaves_no_commit_behind(
    database_url: str, database: Any
) -> None:
    engine = create_engine(database_url)

    async with held_commit(database_url, database) as held:
        firing = asyncio.create_task(fire_due(Commits(create_sessions(engine), lambda: None)))
        await until_somebody_waits(database)
        firing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await firing
    await engine.dispose()
    await fire_all(database_url)

    assert await fired(database) == [held]


async def test_a_commit_that_hangs_is_no_successful_dispatch(
    database_url: str, database: Any
) -> None:
    engine = create_engine(database_url)
    noted: list[int] = []
    commits = Commits(create_sessions(engine), lambda: noted.append(commits.fired))

    async with held_commit(database_url, database):
        for _ in range(2):
            await fire_due(commits)
        noted_before = [*noted]
    await commits.end()
    await engine.dispose()

    assert noted_before == []
    assert noted == [1]
