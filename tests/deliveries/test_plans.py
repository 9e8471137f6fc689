"""The queue's statements use its indexes, however far its statistics are behind."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.db.engine import create_engine
from event_trigger.deliveries.queue import Granted, Queue, Recorded
from event_trigger.models import DeliveryStatus
from tests.support.databases import connect
from tests.support.plans import plans_of
from tests.support.services import ADA

_FILL = """
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload_size, next_attempt_at, finished_at)
    SELECT $1::bigint % 64, $1, number % 20, 1, number, 'api', now(), false, 0,
        CASE WHEN number % 2 = 0 THEN now() END, CASE WHEN number % 2 = 1 THEN now() END
    FROM generate_series(1, 5000) AS number
"""
NOW = datetime.now(UTC)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    database = await connect(database_url)
    await database.execute(_FILL, ADA)
    await database.close()
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


async def test_finding_work_goes_from_destination_to_destination(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        await Queue(session).list_waiting()

    [plan] = await plans_of(engine, work)

    assert plan.count("using ix_deliveries_waiting") == 3
    assert "Seq Scan on deliveries" not in plan


async def test_a_claim_reads_what_is_due_of_each_destination_in_order(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        await Queue(session).claim(ADA, [Granted(2, 10, NOW), Granted(4, 10, NOW)])

    [plan] = await plans_of(engine, work)

    assert "next_attempt_at <= now()" in plan.split("ix_deliveries_waiting")[1]
    assert "Index Cond: ((shard = " in plan
    assert "Tid Scan on deliveries" in plan
    assert "Seq Scan on deliveries" not in plan


async def test_counting_what_is_in_flight_reads_leases_only(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        await Queue(session).lock_destinations(ADA, [2, 4], wait=False)

    [plan] = await plans_of(engine, work)

    assert "ix_deliveries_leased" in plan


async def test_recording_finds_its_deliveries_by_their_key(engine: AsyncEngine) -> None:
    outcome = Recorded(
        2, 1, DeliveryStatus.DELIVERED, None, NOW, NOW - timedelta(seconds=1), 1.0, 204, None, ""
    )

    async def work(session: AsyncSession) -> None:
        await Queue(session).record(ADA, [outcome])

    [plan] = await plans_of(engine, work)

    assert "pk_deliveries" in plan
    assert "Seq Scan on deliveries" not in plan
