"""Measures the events of a database at once, for tests that do not wait for the job."""

from collections import Counter
from typing import Any

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.event_bytes import EVENT_ROW_BYTES
from event_trigger.events.measuring import measure
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
