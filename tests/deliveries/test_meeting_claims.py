"""Two claims for one destination that meet keep its limit of concurrency."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.queue.deliveries import ClaimLimit, DeliveryQueue
from event_trigger.deliveries.queue.destinations import QueueDestinations
from tests.support.locks import until_somebody_waits
from tests.support.one_server import one_server
from tests.support.services import ADA

_FILL = """
    INSERT INTO destinations (shard, owner_id, url, timeout, max_concurrency, header_names, sealed,
        key_id)
    VALUES ($1::bigint % 64, $1, 'https://example.com', 15, 3, '{}', '', '')
"""
_PLANT = """
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload_size)
    SELECT $1::bigint % 64, $1, 1, 1, number, 'api', now(), false, 0
    FROM generate_series(1, 5) AS number
"""
# a statement reads the clock before it locks the rows that it has found
_HOLD_IN_THE_MIDDLE = """
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(7); RETURN now(); END $$
"""


@one_server("a worker would have to read another clock")
async def test_a_claim_counts_the_leases_of_one_that_ends_before_it_has_the_lock(
    database_url: str, database: Any
) -> None:
    await database.execute(_FILL, ADA)
    await database.execute(_PLANT, ADA)
    await database.execute(_HOLD_IN_THE_MIDDLE)
    engine = create_engine(database_url)
    sessions, wanted = create_sessions(engine), [OwnedId(ADA, 1)]
    limit = ClaimLimit(ADA, 1, 3, 1000, datetime.now(UTC) + timedelta(minutes=1))

    async def lock_late() -> list[int]:
        async with sessions.begin() as late:
            await late.execute(text("SET LOCAL search_path = public, pg_catalog"))
            return [one.free_slots for one in await QueueDestinations(late).lock_enabled(wanted)]

    await database.execute("SELECT pg_advisory_lock(7)")
    locking = asyncio.create_task(lock_late())
    await until_somebody_waits(database)
    async with sessions.begin() as first:
        [locked] = await QueueDestinations(first).lock_enabled(wanted)
        claimed = await DeliveryQueue(first).claim([limit], installation="here")
    await database.execute("SELECT pg_advisory_unlock(7)")

    assert (locked.free_slots, len(claimed)) == (3, 3)
    assert await locking == [0]
    await engine.dispose()
