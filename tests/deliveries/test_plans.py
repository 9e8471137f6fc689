"""The queue's statements use its indexes, however far its statistics are behind."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.filters import DeliveryFilter
from event_trigger.deliveries.payloads.repository import PayloadPosition, Payloads
from event_trigger.deliveries.queue.cleanup import QueueCleanup
from event_trigger.deliveries.queue.deliveries import ClaimLimit, DeliveryQueue
from event_trigger.deliveries.queue.destinations import QueueDestinations
from event_trigger.deliveries.queue.outcomes import AttemptOutcome, DeliveryOutcomes
from event_trigger.deliveries.queue.queued import QueuedDestinations
from event_trigger.deliveries.queue.requests import KeptRequests, NewRequest
from event_trigger.deliveries.repository import Deliveries
from event_trigger.models import DeliveryStatus
from tests.support.databases import connect
from tests.support.one_server import one_server
from tests.support.plans import plans_of
from tests.support.services import ADA, BOB

pytestmark = one_server("workers make the plans of a cluster")

_FILL = """
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload_size, status, next_attempt_at, finished_at)
    SELECT $1::bigint % 64, $1, number % 20, 1, number, 'api', now(), false, 0,
        CASE WHEN number % 2 = 0 THEN 'pending' WHEN number % 5 = 0 THEN 'exhausted'
        ELSE 'delivered' END,
        CASE WHEN number % 2 = 0 THEN now() END, CASE WHEN number % 2 = 1 THEN now() END
    FROM generate_series(1, $2::int) AS number
"""
_FILL_PAYLOADS = """
    INSERT INTO delivery_payloads (shard, event_id, owner_id, payload_size, counted, payload)
    SELECT $1::bigint % 64, number, $1, 2, CASE WHEN number % 100 > 0 THEN true END, '{}'
    FROM generate_series(1, $2::int) AS number
"""
_RECEIVER = """
    INSERT INTO destinations (shard, owner_id, url, timeout, max_concurrency, header_names, sealed,
        key_id)
    VALUES ($1::bigint % 64, $1, 'https://example.com', 15, 10, '{}', '', '')
"""
NOW = datetime.now(UTC)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    database = await connect(database_url)
    await database.execute(_FILL, ADA, 5_000)
    await database.close()
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("in_cluster", [False, True])
async def test_finding_work_goes_from_destination_to_destination(
    engine: AsyncEngine, database: Any, in_cluster: bool
) -> None:
    await database.execute(_RECEIVER, ADA)

    async def work(session: AsyncSession) -> None:
        await QueuedDestinations(session, in_cluster=in_cluster).list_queued()

    plan = (await plans_of(engine, work))[-1]

    assert plan.count("using ix_deliveries_waiting") == 3
    assert "Seq Scan on deliveries" not in plan


async def test_a_claim_reads_due_deliveries_of_each_destination_in_order(
    engine: AsyncEngine, database: Any
) -> None:
    await database.execute(_FILL_PAYLOADS, ADA, 5_000)
    await database.execute("ANALYZE deliveries, delivery_payloads")

    async def work(session: AsyncSession) -> None:
        limits = [ClaimLimit(ADA, number, 10, 1000, NOW) for number in (2, 4)]
        await DeliveryQueue(session).claim(limits, installation="here")

    [plan] = await plans_of(engine, work)

    assert "next_attempt_at <= now()" in plan.split("ix_deliveries_waiting")[1]
    assert "Index Cond: ((shard = " in plan
    assert "Tid Scan on deliveries" in plan
    assert "using pk_delivery_payloads on delivery_payloads stored" in plan
    assert "Seq Scan" not in plan


async def test_counting_a_backlog_probes_the_deliveries_of_each_event(
    engine: AsyncEngine, database: Any
) -> None:
    await database.execute(_FILL_PAYLOADS, ADA, 5_000)

    async def work(session: AsyncSession) -> None:
        payloads = Payloads(session)
        await payloads.list_new(limit=100)
        await payloads.list_after(PayloadPosition(ADA, 5), limit=100)
        await payloads.list_stale(ADA, [1, 2, 3])
        await payloads.lock(ADA, [1, 2, 3], wait=False)
        await payloads.delete(ADA, [1, 2, 3])

    new, after, uses, lock, delete = await plans_of(engine, work)

    assert "ix_delivery_payloads_new" in new
    assert "Index Cond: (ROW(shard, event_id) > " in after.split("using pk_delivery_payloads")[1]
    assert "ix_deliveries_event" in uses
    for plan in (uses, lock, delete):
        assert "pk_delivery_payloads" in plan
    for plan in (new, after, uses, lock, delete):
        assert "Seq Scan" not in plan
    assert "Sort" not in after


async def test_counting_attempts_in_flight_reads_leases_only(
    engine: AsyncEngine, database: Any
) -> None:
    await database.execute(_RECEIVER, ADA)

    async def work(session: AsyncSession) -> None:
        await QueueDestinations(session).lock_enabled([OwnedId(ADA, 1)])

    _, plan = await plans_of(engine, work)

    assert "ix_deliveries_leased" in plan


async def test_claims_and_records_of_several_shards_use_the_same_indexes(
    engine: AsyncEngine, database: Any
) -> None:
    await database.execute(_FILL, BOB, 5_000)
    for owner in (ADA, BOB):
        await database.execute(_RECEIVER, owner)
    await database.execute(_FILL_PAYLOADS, ADA, 5_000)
    await database.execute("ANALYZE deliveries, delivery_payloads")
    outcomes = [_outcome(2, lease=1), _outcome(4, lease=1)._replace(shard=BOB, owner_id=BOB)]

    async def work(session: AsyncSession) -> None:
        await DeliveryOutcomes(session).record(outcomes)
        await QueueDestinations(session).lock_enabled([OwnedId(ADA, 1), OwnedId(BOB, 2)])
        limits = [ClaimLimit(shard, 2, 10, 1000, NOW) for shard in (ADA, BOB)]
        await DeliveryQueue(session).claim(limits, installation="here")

    *_, in_place, lock, count, claim = await plans_of(engine, work)

    assert "Index Cond: ((shard = " in in_place.split("using pk_deliveries on deliveries")[1]
    assert "pk_destinations" in lock
    assert "ix_deliveries_leased" in count
    assert "next_attempt_at <= now()" in claim.split("ix_deliveries_waiting")[1]
    assert "using pk_delivery_payloads on delivery_payloads stored" in claim
    for plan in (in_place, claim):
        assert "Tid Scan on deliveries" in plan
    assert "ix_deliveries" not in in_place
    assert "Seq Scan" not in in_place + lock + count + claim


def _outcome(delivery_id: int, *, lease: int) -> AttemptOutcome:
    return AttemptOutcome(
        shard=ADA,
        owner_id=ADA,
        delivery_id=delivery_id,
        lease=lease,
        status=DeliveryStatus.DELIVERED,
        next_attempt_at=None,
        finished_at=NOW,
        attempted_at=NOW - timedelta(seconds=1),
        duration_ms=1.0,
        status_code=204,
        error=None,
        response="",
        reason=None,
        location=None,
        held_until=None,
        cost=1,
    )


@pytest.mark.parametrize("is_analyzed", [False, True])
async def test_recording_probes_the_primary_key_for_each_delivery(
    engine: AsyncEngine, database: Any, is_analyzed: bool
) -> None:
    if is_analyzed:
        await database.execute("ANALYZE deliveries")

    async def work(session: AsyncSession) -> None:
        outcomes = [_outcome(2, lease=1), _outcome(4, lease=1)]
        await DeliveryOutcomes(session).lock(outcomes)
        await DeliveryOutcomes(session).record(outcomes)

    *_, lock, record = await plans_of(engine, work)

    for plan in (lock, record):
        assert "Index Cond: ((shard = " in plan.split("using pk_deliveries on deliveries")[1]
        assert "ix_deliveries" not in plan
        assert "Seq Scan on deliveries" not in plan


async def test_an_outcome_is_recorded_when_its_row_is_free_wherever_it_has_moved(
    engine: AsyncEngine, database: Any
) -> None:
    sessions, limit = create_sessions(engine), ClaimLimit(ADA, 2, 1, 1000, LATER)
    async with sessions.begin() as session:
        [claimed] = await DeliveryQueue(session).claim([limit], installation="here")
    outcome = _outcome(claimed.id, lease=claimed.lease)

    async def record() -> tuple[set[int], set[int]]:
        async with sessions.begin() as session:
            outcomes = DeliveryOutcomes(session)
            return await outcomes.lock([outcome]), await outcomes.record([outcome])

    async with database.transaction():
        await database.execute("UPDATE deliveries SET trigger_name = '' WHERE id = $1", claimed.id)
        while_locked = await record()
    moved, again = await record(), await record()

    assert while_locked == ({claimed.id}, set())
    assert moved == (set(), {claimed.id})
    assert again == (set(), set())  # its lease is over, so it has not to wait


async def test_kept_requests_are_found_by_their_deliveries(engine: AsyncEngine) -> None:
    request = NewRequest(2, b"form", "https://example.com/", b"{}")

    async def work(session: AsyncSession) -> None:
        requests = KeptRequests(session)
        await requests.keep(ADA, [request])
        await requests.list(ADA, [2, 4])
        await requests.forget(ADA, [2, 4])
        await QueueCleanup(session).give_up_unsent(ADA, [2, 4])

    keep, listed, forget, give_up = await plans_of(engine, work)

    assert "pk_deliveries" in keep or "ix_deliveries_leased" in keep
    for plan in (listed, forget, give_up):
        assert "pk_delivery_requests" in plan
    for plan in (keep, listed, forget, give_up):
        assert "Seq Scan" not in plan


async def test_finding_expired_deliveries_probes_each_destination(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        await QueuedDestinations(session).list_expired(timedelta(days=7))

    [plan] = await plans_of(engine, work)

    assert "next_attempt_at < (now() - " in plan.split("ix_deliveries_waiting")[-1]
    assert "Seq Scan on deliveries" not in plan


@pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.EXHAUSTED])
async def test_a_purge_reads_only_rows_past_keeping(
    engine: AsyncEngine, status: DeliveryStatus
) -> None:
    async def work(session: AsyncSession) -> None:
        await QueueCleanup(session).purge(status, after=timedelta(hours=48), limit=5000)

    [plan] = await plans_of(engine, work)

    assert "Index Cond: (finished_at < (now() - " in plan.split(f"ix_deliveries_{status}")[1]


async def test_exhausted_deliveries_are_found_by_owner_and_to_be_sent_again(
    engine: AsyncEngine, database: Any
) -> None:
    await database.execute(_FILL, ADA, 50_000)
    await database.execute("ANALYZE deliveries")

    async def work(session: AsyncSession) -> None:
        deliveries = Deliveries(session)
        wanted = DeliveryFilter(statuses=frozenset({DeliveryStatus.EXHAUSTED}))
        await deliveries.list_page(ADA, wanted, before=None, limit=100)
        await deliveries.choose_exhausted(
            OwnedId(ADA, 5),
            since=NOW - timedelta(hours=1),
            until=NOW + timedelta(hours=1),
            before=NOW + timedelta(hours=1),
            after=None,
            limit=100,
        )
        await deliveries.redeliver(ADA, [1, 2], start=NOW, pace=timedelta(seconds=1))

    listing, choosing, redelivering = await plans_of(engine, work)

    assert "ix_deliveries_owner_status" in listing
    # either holds exhausted ones only; which is cheaper depends on how many those are
    assert "ix_deliveries_given_up" in choosing or "ix_deliveries_exhausted" in choosing
    assert "Seq Scan" not in choosing + redelivering
    assert "pk_deliveries" in redelivering


async def test_the_deliveries_of_an_event_are_found_by_it(
    engine: AsyncEngine, database: Any
) -> None:
    await database.execute("ANALYZE deliveries")

    async def work(session: AsyncSession) -> None:
        wanted = DeliveryFilter(event_id=5)
        await Deliveries(session).list_page(ADA, wanted, before=None, limit=100)

    [plan] = await plans_of(engine, work)

    assert "using ix_deliveries_event on deliveries" in plan
