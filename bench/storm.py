"""Measures a storm, 100,000 triggers due at one instant, compared with three bare statements."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.site import Site
from tests.support.databases import connect
from tests.support.planting import HOURLY, plant_triggers
from tests.support.services import ADA

BATCH = 1000
KINDS: dict[str, dict[str, Any]] = {"interval": HOURLY, "cron": {"cron": "7 * * * *"}}
_BARE = (
    """
    SELECT id FROM triggers WHERE shard = $1 AND next_fire_at <= now()
    ORDER BY next_fire_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
    """,
    """
    INSERT INTO events (shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload,
        is_test)
    SELECT shard, owner_id, id, 'scheduled', now(), next_fire_at, payload, false
    FROM triggers WHERE shard = $1 AND id = ANY ($2)
    """,
    """
    UPDATE triggers SET next_fire_at = next_fire_at + interval '1 h', last_fired_at = now(),
        settled_until = next_fire_at, fire_count = fire_count + 1,
        scheduled_count = scheduled_count + 1
    WHERE shard = $1 AND id = ANY ($2)
    """,
)


async def plant(database: Any, details: dict[str, Any], due_at: datetime, count: int) -> None:
    """Adds triggers with different anchors, so that no next time is shared between them."""
    await database.execute("TRUNCATE triggers CASCADE")
    await database.execute("TRUNCATE events")
    await plant_triggers(database, count, details=details, due_at=due_at)
    await database.execute(
        "UPDATE triggers SET anchor_at = next_fire_at - (1 + id % 1000) * interval '1 h',"
        """ payload = '{"padding": "xxxxxxxx"}'"""
    )
    await database.execute("VACUUM ANALYZE triggers")
    await database.execute("CHECKPOINT")


async def measure_service(built: Site, kind: str, count: int) -> float:
    """Returns events a second, from the due instant of all triggers to the last commit."""
    database = await connect(built.url)
    soon = datetime.now(UTC) + timedelta(seconds=4 + count / 10_000)
    await plant(database, KINDS[kind], soon, count)
    late = (datetime.now(UTC) - soon).total_seconds()
    assert late < 0, f"planting took {late:.1f} s too long"
    await until_counted(database, count)
    counted = await database.fetchrow(
        "SELECT count(*) AS all, count(DISTINCT trigger_id) AS fired, max(triggered_at) AS last"
        " FROM events"
    )
    assert counted["all"] == counted["fired"] == count, "some fired twice"
    await database.close()
    return count / float((counted["last"] - soon).total_seconds())


async def until_counted(database: Any, count: int) -> None:
    """Polls the id sequence until the end, because counting rows would slow down the service."""
    last = "SELECT coalesce(pg_sequence_last_value('events_id_seq'), 0)"
    enough = await database.fetchval(last) + count
    while await database.fetchval(last) < enough:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    while await database.fetchval("SELECT count(*) FROM events") < count:  # noqa: ASYNC110
        await asyncio.sleep(0.2)


async def measure_bare(built: Site, count: int) -> float:
    """Returns events a second of the three statements alone, as PostgreSQL's upper bound."""
    database = await connect(built.url)
    await plant(database, KINDS["interval"], datetime.now(UTC), count)
    began, fired = time.perf_counter(), 0
    while fired < count:
        async with database.transaction():
            claimed = await database.fetch(_BARE[0], ADA % 64, BATCH)
            ids = [row["id"] for row in claimed]
            for statement in _BARE[1:]:
                await database.execute(statement, ADA % 64, ids)
        fired += len(ids)
    took = time.perf_counter() - began
    await database.close()
    return count / took
