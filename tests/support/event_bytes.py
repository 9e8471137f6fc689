"""Measures the events of a database at once, for tests that do not wait for the job."""

from collections import Counter
from datetime import timedelta
from typing import Any

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.event_bytes import EVENT_ROW_BYTES
from event_trigger.events.measuring import measure
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from event_trigger.events.retention import purge
from tests.support.databases import now_of
from tests.support.services import make_settings
from tests.support.waiting import eventually

_EXACT = f"""
    SELECT owner_id, CAST(sum({EVENT_ROW_BYTES} + coalesce(pg_column_size(payload), 0)) AS bigint)
    FROM events GROUP BY owner_id
"""


async def measure_events(database_url: str, *, most_bytes: int = 0) -> None:
    """Does nothing while a service's own job is at it."""
    engine = create_engine(database_url)
    await measure(create_sessions(engine), most_bytes=most_bytes)
    await engine.dispose()


async def exact_bytes(database: Any) -> dict[int, int]:
    """Adds up the bytes of all events by project."""
    return dict(map(tuple, await database.fetch(_EXACT)))


async def counted_bytes(database: Any) -> dict[int, int]:
    """Gives the totals on record by project; they must be the sums of their partitions."""
    rows = await database.fetch("SELECT owner_id, is_total, bytes FROM event_bytes")
    totals, sums = Counter[int](), Counter[int]()
    for owner_id, is_total, size in rows:
        (totals if is_total else sums)[owner_id] += size
    assert totals == sums
    return dict(totals)


async def until_counted(database: Any, database_url: str, *, most_bytes: int = 0) -> dict[int, int]:
    """Measures until the totals are exact, and gives them."""

    async def difference() -> tuple[dict[int, int], dict[int, int]]:
        await measure_events(database_url, most_bytes=most_bytes)
        return await counted_bytes(database), await exact_bytes(database)

    counted, _ = await eventually(difference, lambda found: found[0] == found[1])
    return counted


async def until_marked(database: Any) -> None:
    """Waits until the job has marked a project that has no room."""
    marked = "SELECT count(*) FROM event_bytes WHERE reached IS NOT NULL"
    await eventually(lambda: database.fetchval(marked), bool)


async def plant_old_events(
    database: Any, database_url: str, *, owner_id: int, count: int = 200, hours: int = 30
) -> Partition:
    """Makes a partition of so many hours ago, with events, and gives it."""
    hour = (await now_of(database)).replace(minute=0, second=0, microsecond=0)
    since = hour - timedelta(hours=hours)
    old = Partition(since, since + timedelta(hours=1))
    engine = create_engine(database_url)
    async with create_sessions(engine).begin() as session:
        await Partitions(session).add(old)
    await engine.dispose()
    await database.execute(
        """
        INSERT INTO events (shard, owner_id, trigger_id, type, is_test, triggered_at)
        SELECT $1::bigint % 64, $1, 1, 'api', false, $2::timestamptz + number * interval '1 second'
        FROM generate_series(1, $3) AS number
        """,
        owner_id,
        since,
        count,
    )
    return old


async def purge_old_events(database_url: str) -> None:
    """Drops the partitions that are older than a day."""
    engine = create_engine(database_url)
    settings = make_settings(database_url, keep_for=timedelta(days=1))
    await purge(create_sessions(engine), settings)
    await engine.dispose()
