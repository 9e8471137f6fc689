"""Measures a storm, very many triggers due at one instant, and the three bare statements."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bench.gauges import connected
from bench.planned import plant_due
from tests.faults.site import Site
from tests.support.planting import HOURLY
from tests.support.services import ADA

BATCH = 1000
_ZONE = {"timezone": "Europe/Berlin"}
KINDS: dict[str, dict[str, Any]] = {
    "interval": HOURLY,
    "cron": {"cron": "7 * * * *"},
    "crons": {"cron": ["7 * * * *", "37 9-17 * * 1-5", "0 0 L * *"]},
    "civil days": {**_ZONE, "interval": "P2W", "recurring": True},
    "civil months": {**_ZONE, "interval": "P1M", "recurring": True},
    "rrule": {**_ZONE, "rrule": "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-1"},
    "excepted": {
        "cron": "7 * * * *",
        "from": "2026-01-01T00:00:00Z",
        "except": [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in (24, 25)],
    },
}
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


class Bare(NamedTuple):
    """Events a second, and the seconds that planting the triggers took."""

    per_second: float
    planting: float


async def plant(database: Any, details: dict[str, Any], due_at: datetime, count: int) -> float:
    """Replaces all triggers by `count` due ones; returns the seconds that this took."""
    began = time.perf_counter()
    await database.execute("TRUNCATE triggers CASCADE")
    await database.execute("TRUNCATE events")
    await plant_due(database, [ADA], count, due_at, details=details)
    await database.execute("VACUUM ANALYZE triggers")
    await database.execute("CHECKPOINT")
    return time.perf_counter() - began


async def measure_service(built: Site, kind: str, count: int, *, ahead: float) -> float:
    """Returns events a second, from the due instant of all triggers to the last commit.

    They are due `ahead` seconds from now, and must be planted by then.
    """
    async with connected(built) as database:
        soon = datetime.now(UTC) + timedelta(seconds=1 + ahead)
        soon = soon.replace(microsecond=0)  # as local times are
        await plant(database, _details(kind, soon), soon, count)
        late = (datetime.now(UTC) - soon).total_seconds()
        assert late < 0, f"planting took {late:.1f} s too long"
        await until_counted(built, database, count)
        counted = await database.fetchrow(
            "SELECT count(*) AS all, count(DISTINCT trigger_id) AS fired, max(triggered_at) AS last"
            " FROM events"
        )
    assert counted["all"] == counted["fired"] == count, "some fired twice"
    return count / float((counted["last"] - soon).total_seconds())


def _details(kind: str, due_at: datetime) -> dict[str, Any]:
    """Returns details that name the instant if they have a zone: those are checked when due."""
    details = KINDS[kind]
    if "timezone" not in details:
        return details
    local = due_at.astimezone(ZoneInfo(details["timezone"])).replace(tzinfo=None)
    return {**details, "time": local.isoformat()}


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
        planting = await plant(database, KINDS["interval"], datetime.now(UTC), count)
        began, fired = time.perf_counter(), 0
        while fired < count:
            async with database.transaction():
                claimed = await database.fetch(_BARE[0], ADA % 64, BATCH)
                ids = [row["id"] for row in claimed]
                for statement in _BARE[1:]:
                    await database.execute(statement, ADA % 64, ids)
            fired += len(ids)
        return Bare(count / (time.perf_counter() - began), planting)
