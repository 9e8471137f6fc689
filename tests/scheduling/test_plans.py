"""The statements that must stay quick use the indexes that were made for them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.calendars.repository import CalendarUsers
from event_trigger.db.engine import create_engine
from event_trigger.db.shards import OwnedId
from event_trigger.events.filters import EventFilter
from event_trigger.events.partitions import Partition
from event_trigger.events.repository import Events
from event_trigger.events.window import TimeWindow, until_now
from event_trigger.models import EventPartition, EventType
from event_trigger.reconciliation.repository import InstantRecords
from event_trigger.scheduling.due_shards import list_due_shards
from event_trigger.scheduling.repository import DecidedTrigger, DueTriggers
from event_trigger.triggers.schedule.catch_up import Decision
from tests.support.citus import look_distributed
from tests.support.databases import connect, fresh_database, make_template
from tests.support.one_server import one_server
from tests.support.plans import plans_of, tables_scanned
from tests.support.planting import plant_triggers
from tests.support.services import ADA, BOB

pytestmark = one_server("workers make the plans of a cluster")

FILL_EVENTS = """
    INSERT INTO events (shard, owner_id, trigger_id, type, is_test, triggered_at)
    SELECT owner_id, owner_id, number % 5, 'api', false, starts_at + number * interval '1 second'
    FROM event_partitions, generate_series(2, 40) AS owner_id, generate_series(1, 50) AS number
"""


async def fill(database_url: str) -> None:
    database = await connect(database_url)
    for owner_id in (ADA, BOB):
        later = datetime.now(UTC) + timedelta(days=1)
        await plant_triggers(database, 2000, owner_id=owner_id, due_at=later)
        await plant_triggers(database, 5, owner_id=owner_id)
    await database.execute(FILL_EVENTS)
    await database.execute("ANALYZE")
    await database.close()


@pytest.fixture(scope="module")
def filled_template(server_url: str, template: str) -> str:
    return make_template(server_url, fill, template=template)


@pytest.fixture
async def database_url(server_url: str, filled_template: str) -> AsyncIterator[str]:
    async with fresh_database(server_url, template=filled_template) as url:
        yield url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


async def test_listing_due_shards_probes_one_index_for_each_shard(engine: AsyncEngine) -> None:
    [_, plan] = await plans_of(engine, list_due_shards)

    assert plan.count("Index Only Scan using ix_triggers_due on triggers") == 1
    assert plan.count("Index Only Scan Backward using ix_triggers_due on triggers") == 1
    assert plan.count("Index Cond: ((shard = every.shard)") == 2
    assert plan.count("Limit") == 2
    assert plan.count("(hashed SubPlan") == 2  # ids that commit are not compared one by one


async def test_a_cluster_lists_due_shards_by_its_index(engine: AsyncEngine, database: Any) -> None:
    await look_distributed(database)

    [*_, plan] = await plans_of(engine, list_due_shards)

    assert "using ix_triggers_due on triggers" in plan
    assert "next_fire_at <= " in plan.split("Index Cond:")[1]


async def test_claiming_reads_the_due_entries_of_its_shard_in_order(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        await DueTriggers(session).claim_due((ADA,), limit=1000)

    [plan] = await plans_of(engine, work)

    assert "Index Scan using ix_triggers_due on triggers" in plan
    assert "Sort" not in plan


async def test_the_triggers_of_a_calendar_are_found_without_a_join(new_database_url: str) -> None:
    engine = create_engine(new_database_url)  # without statistics, as after a restore
    database = await connect(new_database_url)
    await plant_triggers(database, 50)
    await database.close()

    [plan] = await plans_of(engine, lambda one: CalendarUsers(one, ADA).list_ids("closed"))

    assert "using pk_trigger_calendars" in plan
    assert "Nested Loop" not in plan
    await engine.dispose()


async def test_firing_a_batch_finds_its_triggers_by_their_key(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        due = DueTriggers(session)
        now = datetime.now(UTC)
        claimed = await due.claim_due((ADA,), limit=1000)
        await due.record_fired(
            [DecidedTrigger(row, Decision((now,), (), now, now)) for row in claimed]
        )

    *_, plan = await plans_of(engine, work)

    assert "Insert on events" in plan
    assert plan.count("Index Scan using pk_triggers on triggers") == 2


async def test_a_page_of_events_reads_the_owners_index_in_order_and_no_other_partition(
    engine: AsyncEngine,
) -> None:
    begin = datetime.now(UTC)
    now = begin + timedelta(hours=5)
    window = TimeWindow(begin + timedelta(hours=2), None)
    wanted = EventFilter(ADA, window)

    async def work(session: AsyncSession) -> None:
        await Events(session).list_page(wanted, now=now, before=None, limit=101)

    [*_, plan] = await plans_of(engine, work)

    async with engine.connect() as connection:
        partitions = (await connection.execute(select(EventPartition.starts_at))).scalars()
    since, until = window.start - timedelta(hours=1), until_now(window, now).end
    assert until is not None
    young = {Partition(at, at).table for at in partitions if since < at < until}
    assert young
    conditions = [line for line in plan.splitlines() if "Index Cond:" in line]
    assert tables_scanned(plan) == young
    assert len(conditions) == 2 * len(EventType) * len(young)  # the kinds of events
    assert all("owner_id =" in one and "triggered_at >=" in one for one in conditions)


async def test_an_admins_page_reads_the_log_in_order_without_sorting_it(
    engine: AsyncEngine,
) -> None:
    everybody = EventFilter(None, TimeWindow(datetime.now(UTC) - timedelta(hours=48), None))

    async def work(session: AsyncSession) -> None:
        await Events(session).list_page(everybody, now=datetime.now(UTC), before=None, limit=100)

    plans = [plan for plan in await plans_of(engine, work) if "events" in plan]

    assert plans
    for plan in plans:
        conditions = [line for line in plan.splitlines() if "Index Cond:" in line]
        assert conditions
        assert all("type =" in one and "is_test" in one for one in conditions)


async def test_a_further_page_reads_no_newer_partition(engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    wanted = EventFilter(ADA, TimeWindow(now - timedelta(hours=48), None))
    before = (now + timedelta(minutes=1), 1)

    async def work(session: AsyncSession) -> None:
        await Events(session).list_page(wanted, now=now, before=before, limit=101)

    plans = await plans_of(engine, work)

    for plan in plans:
        assert len(tables_scanned(plan)) <= 2  # the hour may end in this very minute


async def test_a_statement_reads_the_rows_of_its_own_trigger(engine: AsyncEngine) -> None:
    key, now = OwnedId(ADA, 1), datetime.now(UTC)

    async def work(session: AsyncSession) -> None:
        records = InstantRecords(session)
        await records.list_fired(key, since=now - timedelta(hours=1), until=now)
        await records.list_unfired(key, since=now - timedelta(hours=1), until=now)
        await records.list_versions(key, since=now)
        await records.get_event(key, now)

    fired, unfired, versions, event_ = await plans_of(engine, work)

    assert "_trigger_id_type_is_test" in fired
    assert "ix_unfired_ranges_trigger" in unfired
    assert "pk_schedule_versions" in versions
    assert "Seq Scan" not in event_  # so few are here that the key's index may do
