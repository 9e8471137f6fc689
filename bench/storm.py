"""Measures a storm, very many triggers due at one instant, and the three bare statements."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bench.gauges import connected, cpu_of, processes_of
from bench.planned import EACH_HOUR, Planned, plant_due
from tests.faults.site import Site
from tests.support.services import ADA

BATCH = 1000
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


def hourly(_due_at: datetime) -> Planned:
    return EACH_HOUR


class Fired(NamedTuple):
    """Events a second, and the CPU time of each of service and PostgreSQL (µs)."""

    per_second: float
    cpu: float


class Bare(NamedTuple):
    """Events a second, and the seconds that planting the triggers took."""

    per_second: float
    planting: float


async def plant(database: Any, planned: Planned, due_at: datetime, count: int) -> float:
    """Replaces all triggers by `count` due ones; returns the seconds that this took."""
    began = time.perf_counter()
    await database.execute("TRUNCATE triggers CASCADE")
    await database.execute("TRUNCATE events")
    await plant_due(database, [ADA], count, due_at, planned=planned)
    await database.execute("VACUUM ANALYZE triggers")
    await database.execute("CHECKPOINT")
    return time.perf_counter() - began


async def measure_service(
    built: Site, count: int, *, ahead: float, plan: Callable[[datetime], Planned] = hourly
) -> Fired:
    """Measures from the due instant of all triggers to the last commit.

    They are due `ahead` seconds from now, and must be planted by then. `plan` makes their plan of
    that instant.
    """
    async with connected(built) as database:
        soon = datetime.now(UTC) + timedelta(seconds=1 + ahead)
        soon = soon.replace(microsecond=0)  # as local times are
        await plant(database, plan(soon), soon, count)
        late = (datetime.now(UTC) - soon).total_seconds()
        assert late < 0, f"planting took {late:.1f} s too long"
        service = processes_of(built)
        before = cpu_of(service)
        await until_counted(built, database, count)
        spent = cpu_of(service).since(before)
        counted = await database.fetchrow(
            "SELECT count(*) AS all, count(DISTINCT trigger_id) AS fired, max(triggered_at) AS last"
            " FROM events"
        )
    assert counted["all"] == counted["fired"] == count, "some fired twice"
    return Fired(
        count / float((counted["last"] - soon).total_seconds()),
        1e6 * (spent.service + spent.postgres) / count,
    )


async def until_counted(built: Site, database: Any, count: int) -> None:
    """Polls the id sequence until the end, because counting rows would slow down the service."""
    last = "SELECT coalesce(pg_sequence_last_value('events_id_seq'), 0)"
    enough = await database.fetchval(last) + count
    while await database.fetchval(last) < enough:
        await asyncio.sleep(0.2)
        assert built.replicas[-1].process.poll() is None, "the service has ended"
    while await database.fetchval("SELECT count(*) FROM events") < count:  # noqa: ASYNC110
        await asyncio.sleep(0.2)


async def measure_bare(built: Site, count: int) -> Bare:
    """Measures the three statements alone: PostgreSQL's upper bound."""
    async with connected(built) as database:
        planting = await plant(database, EACH_HOUR, datetime.now(UTC), count)
        began, fired = time.perf_counter(), 0
        while fired < count:
            async with database.transaction():
                claimed = await database.fetch(_BARE[0], ADA % 64, BATCH)
                ids = [row["id"] for row in claimed]
                for statement in _BARE[1:]:
                    await database.execute(statement, ADA % 64, ids)
            fired += len(ids)
        return Bare(count / (time.perf_counter() - began), planting)
