"""The bytes of each project's events are counted by a job, exactly, and go with the events."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events import measuring
from event_trigger.events.event_bytes import EVENT_ROW_BYTES, StoredBytes
from event_trigger.events.partitions import Partition
from event_trigger.events.retention import archive
from event_trigger.models.base import LARGEST_ID
from tests.support.databases import connect, now_of
from tests.support.event_bytes import (
    counted_bytes,
    exact_bytes,
    measure_events,
    plant_old_events,
    purge_old_events,
    until_counted,
)
from tests.support.plans import plans_of, tables_scanned
from tests.support.planting import plant_event, plant_large
from tests.support.services import ADA, BOB, make_settings


async def test_new_events_of_every_project_are_added_once(database: Any, database_url: str) -> None:
    now = await now_of(database)
    for owner_id in (ADA, BOB, ADA):
        await plant_large(database, 2, owner_id=owner_id)
        await plant_event(database, trigger_id=1, triggered_at=now, owner_id=owner_id)
        await measure_events(database_url)

    counted = await until_counted(database, database_url)

    assert counted[ADA] == 2 * counted[BOB] > 0


async def test_an_event_of_a_long_transaction_is_added_after_its_commit(
    database: Any, database_url: str
) -> None:
    slow = await connect(database_url)
    async with slow.transaction():
        await plant_large(slow, 1)
        await plant_large(database, 1, owner_id=BOB)
        await measure_events(database_url)
        before = await counted_bytes(database)
    await slow.close()
    await until_counted(database, database_url)

    assert before == {}  # transactions are counted in order


async def test_a_run_without_new_events_writes_nothing(database: Any, database_url: str) -> None:
    await plant_large(database, 1)
    await until_counted(database, database_url)
    rows = "SELECT xmin::text FROM event_bytes UNION ALL SELECT xmin::text FROM measured_partitions"
    before = await database.fetch(rows)

    await measure_events(database_url)
    await measure_events(database_url)

    assert await database.fetch(rows) == before


async def test_new_events_are_found_by_their_transactions(database: Any, database_url: str) -> None:
    row = await database.fetchrow("SELECT starts_at, ends_at FROM event_partitions LIMIT 1")
    partition = Partition(*row)
    engine = create_engine(database_url)

    async def add(session: AsyncSession) -> None:
        await StoredBytes(session).add_new(partition, above=7, below=2**40)

    [plan] = await plans_of(engine, add)
    await engine.dispose()

    assert f"{partition.table}_shard_xid_id_idx" in plan
    assert tables_scanned(plan) <= {partition.table, "event_bytes"}


async def test_events_of_before_an_upgrade_or_a_restored_dump_are_counted_too(
    database: Any, database_url: str
) -> None:
    await plant_large(database, 2)
    await until_counted(database, database_url)
    await database.execute("UPDATE measured_partitions SET below = 1000000000")  # another server's
    await plant_large(database, 1)
    await plant_large(database, 1, owner_id=BOB)

    counted = await until_counted(database, database_url)

    assert counted == await exact_bytes(database)


async def test_a_partition_is_first_counted_slot_by_slot_and_then_goes_on(
    database: Any, database_url: str
) -> None:
    old = await plant_old_events(database, database_url, owner_id=ADA, count=3599)
    await until_counted(database, database_url)
    for triggered_at in (old.starts_at, *old.slots[1:]):
        await plant_event(database, trigger_id=1, triggered_at=triggered_at, owner_id=BOB)

    counted = await until_counted(database, database_url)

    assert counted == {ADA: 3599 * EVENT_ROW_BYTES, BOB: 12 * EVENT_ROW_BYTES}


async def test_a_new_partition_is_counted_before_many_that_are_known(
    database: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant_old_events(database, database_url, owner_id=ADA, count=1)
    before = await until_counted(database, database_url)
    await plant_old_events(database, database_url, owner_id=BOB, count=1, hours=29)
    monkeypatch.setattr(measuring, "MEASURING_SECONDS", 0.0005)  # time for one partition

    await measure_events(database_url)

    assert await counted_bytes(database) == {**before, BOB: EVENT_ROW_BYTES}


async def test_each_of_many_partitions_has_its_turn(
    database: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [
        await plant_old_events(database, database_url, owner_id=ADA, count=1, hours=hours)
        for hours in (27, 28, 29, 30)
    ]
    await until_counted(database, database_url)
    for one in known:
        await plant_event(database, trigger_id=1, triggered_at=one.starts_at, owner_id=BOB)
    monkeypatch.setattr(measuring, "MEASURING_SECONDS", 0.0005)

    counted = await until_counted(database, database_url)

    assert counted == {ADA: 4 * EVENT_ROW_BYTES, BOB: 4 * EVENT_ROW_BYTES}


async def test_bytes_go_when_their_partition_goes(database: Any, database_url: str) -> None:
    await plant_old_events(database, database_url, owner_id=ADA)
    await plant_event(database, trigger_id=1, triggered_at=await now_of(database), owner_id=BOB)
    before = await until_counted(database, database_url)

    await purge_old_events(database_url)
    await measure_events(database_url)

    assert before[ADA] > before[BOB] > 0
    assert await counted_bytes(database) == await exact_bytes(database)
    assert (await counted_bytes(database)).keys() == {BOB}
    assert await database.fetchval("SELECT count(*) FROM event_bytes WHERE bytes = 0") == 0


async def test_a_closed_partition_is_counted_for_good(database: Any, database_url: str) -> None:
    old = await plant_old_events(database, database_url, owner_id=ADA)
    engine = create_engine(database_url)
    await archive(create_sessions(engine), make_settings(database_url))
    await engine.dispose()

    await measure_events(database_url)

    below = "SELECT below FROM measured_partitions WHERE starts_at = $1"
    assert await database.fetchval(below, old.starts_at) == LARGEST_ID
    assert await counted_bytes(database) == await exact_bytes(database)
