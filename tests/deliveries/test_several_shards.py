"""Deliveries of several owners share claims and records, and none stands in another's way."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.attempts import AttemptParts
from event_trigger.deliveries.claims import GIVE_UPS_PER_CLAIM
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.rendering import SEND_WITHIN
from event_trigger.deliveries.worker import DeliveryWorker
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.vault import Vault
from tests.support.databases import connect
from tests.support.destinations import make_destination
from tests.support.locks import locked_destination
from tests.support.one_server import one_server
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, ADMIN, BOB, idle_service, make_settings
from tests.support.statements import statements_with
from tests.support.waiting import eventually

OWNERS = (ADMIN, ADA, BOB)
_PLANT = """
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload_size)
    SELECT $1::bigint % 64, $1, $2, 1, number, 'api', now(), false, 0
    FROM generate_series(1, $3::int) AS number
"""
_FAIL = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE division_by_zero; END $$;
    CREATE TRIGGER fail BEFORE {change} FOR EACH ROW WHEN (NEW.shard = {shard})
        EXECUTE FUNCTION fail();
"""
_BY_OWNER = """
    SELECT owner_id, count(*) FILTER (WHERE status = 'delivered' AND attempt_count = 1)
    FROM deliveries GROUP BY owner_id
"""
_ATTEMPTED = """
    SELECT owner_id, count(*) FILTER (WHERE attempt_count = 1) FROM deliveries GROUP BY owner_id
"""
# an owner's number is its shard's; a cluster locks rows only where the statement names the shard
_LOCK_ALL = "SELECT id FROM deliveries WHERE shard = $1 FOR UPDATE"
_LOCK_ONE = """
    SELECT id FROM deliveries
    WHERE shard = $1 AND id = (SELECT max(id) FROM deliveries WHERE shard = $1) FOR UPDATE
"""
# a recorder asks so about destinations that it could not lock, after longer and longer pauses
_IN_VAIN = "SELECT id FROM destinations WHERE shard = $1 AND id = ANY"
_COUNTED = """
    SELECT owner_id, sum(count)::int FROM minute_counts
    WHERE measure = 'attempts' AND series = 'delivered' GROUP BY owner_id
"""

_EXPIRE = """
    UPDATE deliveries SET lease = 2, installation = 'here', leased_at = now(),
        leased_until = now(), next_attempt_at = now()
    WHERE owner_id = $1
"""
_ATTEMPTS = """
    SELECT number, attempts.error, count(*)
    FROM deliveries JOIN delivery_attempts AS attempts
        ON attempts.shard = deliveries.shard AND delivery_id = id
    WHERE owner_id = $1 GROUP BY number, attempts.error ORDER BY number
"""


async def make_all(url: str, receiver: Receiver, database: Any, count: int, **more: Any) -> None:
    """Makes a destination of each owner, with so many due deliveries."""
    async with idle_service(url, **ALLOW_LOOPBACK) as service:
        for owner in OWNERS:
            address = f"{receiver.url}/{owner}"
            made = await make_destination(service.client(owner), address, **more)
            await database.execute(_PLANT, owner, made["id"], count)


@asynccontextmanager
async def working(url: str) -> AsyncIterator[DeliveryWorker]:
    engine, settings = create_engine(url), make_settings(url)
    sender = Sender(AddressPolicy([ip_network("127.0.0.0/8")]), DnsResolver().lookup)
    parts = AttemptParts(sender, Renderer(), Vault.of(settings), (), public_url=None)
    yield DeliveryWorker(create_sessions(engine), parts, on_capacity=lambda: None)
    await sender.aclose()
    await engine.dispose()


async def attempted(database: Any) -> dict[int, int]:
    return dict(map(tuple, await database.fetch(_ATTEMPTED)))


async def delivered(database: Any) -> dict[int, int]:
    return dict(map(tuple, await database.fetch(_BY_OWNER)))


async def test_each_owners_deliveries_are_recorded_and_counted_once(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    at_once = dict.fromkeys(map(str, OWNERS), 0)
    most = dict(at_once)

    async def answer(request: web.Request) -> web.StreamResponse:
        owner = request.path.strip("/")
        at_once[owner] += 1
        most[owner] = max(most[owner], at_once[owner])
        await asyncio.sleep(0.01)
        at_once[owner] -= 1
        return web.Response()

    receiver.answers.update({f"/{owner}": answer for owner in OWNERS})
    await make_all(database_url, receiver, database, 20, max_concurrency=3)
    async with working(database_url) as worker:

        async def go_on() -> dict[int, int]:
            await worker.deliver_due()
            return await delivered(database)

        found = await eventually(go_on, lambda seen: sum(seen.values()) == 60)
        await worker.drain(60)

    assert found == dict.fromkeys(OWNERS, 20)
    assert dict(map(tuple, await database.fetch(_COUNTED))) == found
    assert len(receiver.received) == 60
    assert max(most.values()) == 3


@one_server("a trigger would have to be on each worker")
async def test_a_record_that_fails_for_one_owner_is_made_for_the_others(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    await make_all(database_url, receiver, database, 5)
    await database.execute(_FAIL.format(change="INSERT ON delivery_attempts", shard=ADA))

    async with working(database_url) as worker:
        await worker.deliver_due()
        await worker.drain(60)

    assert await delivered(database) == {ADMIN: 5, ADA: 0, BOB: 5}
    assert len(receiver.received) == 15


@one_server("a trigger would have to be on each worker")
async def test_a_claim_that_fails_for_one_owner_is_made_for_the_others(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    await make_all(database_url, receiver, database, 5)
    await database.execute(_FAIL.format(change="UPDATE ON deliveries", shard=ADA))

    async with working(database_url) as worker:
        [failure] = await asyncio.gather(worker.deliver_due(), return_exceptions=True)
        await worker.drain(60)

    assert isinstance(failure, Exception)
    assert await delivered(database) == {ADMIN: 5, ADA: 0, BOB: 5}
    assert {one.path for one in receiver.received} == {f"/{ADMIN}", f"/{BOB}"}


async def test_a_stop_just_after_a_claim_leaves_no_lease_and_loses_nothing(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    await make_all(database_url, receiver, database, 40, max_concurrency=50)

    async with working(database_url) as stopped:
        await stopped.deliver_due()
        await stopped.drain(0)
    leased = await database.fetchval("SELECT count(leased_until) FROM deliveries")
    async with working(database_url) as next_one:

        async def go_on() -> int:
            await next_one.deliver_due()
            finished = "SELECT count(finished_at) FROM deliveries"
            return int(await database.fetchval(finished))

        await eventually(go_on, lambda seen: seen == 120)
        await next_one.drain(60)

    assert leased == 0
    assert (
        await database.fetchval("SELECT count(*) FROM deliveries WHERE status <> $1", "delivered")
        == 0
    )
    arrived = {(one.path, one.event_id) for one in receiver.received}
    assert len(arrived) == 120


@pytest.mark.parametrize("status", [200, 500])
async def test_a_locked_delivery_keeps_no_others_unrecorded(
    database_url: str, receiver: Receiver, database: Any, status: int
) -> None:
    may_answer = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response(status=status)

    receiver.answers.update({f"/{owner}": answer for owner in OWNERS})
    await make_all(database_url, receiver, database, 5)
    reader = await connect(database_url)
    with capture_logs() as logged:
        async with working(database_url) as worker:
            await worker.deliver_due()
            async with database.transaction():
                await database.execute(_LOCK_ONE, ADA)
                may_answer.set()
                expected = {ADMIN: 5, ADA: 4, BOB: 5}
                await eventually(lambda: attempted(reader), lambda seen: seen == expected)
            await worker.drain(60)
    await reader.close()

    assert await attempted(database) == dict.fromkeys(OWNERS, 5)
    failures = "SELECT array_agg(failures ORDER BY id) FROM destinations"
    assert await database.fetchval(failures) == [0 if status == 200 else 5] * 3
    assert not {one["event"] for one in logged} & {"record_failed", "record_waits_for_database"}


def count_of(found: list[str]) -> Callable[[], Awaitable[int]]:
    async def count() -> int:
        return len(found)

    return count


async def test_a_failure_that_waits_for_its_destination_is_recorded_before_more_is_claimed(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    """Claims follow each other without a pause, and would hold the destination nearly always."""
    may_answer, reader, failures_seen = asyncio.Event(), await connect(database_url), []
    failures = "SELECT failures FROM destinations WHERE owner_id = $1"

    async def answer(_: web.Request) -> web.StreamResponse:
        failures_seen.append(await reader.fetchval(failures, ADA))
        await may_answer.wait()
        return web.Response(status=500)

    receiver.answers[f"/{ADA}"] = answer
    await make_all(database_url, receiver, database, 1)
    [made] = await database.fetch("SELECT id FROM destinations WHERE owner_id = $1", ADA)
    async with working(database_url) as worker:
        await worker.deliver_due()
        async with locked_destination(database_url, made["id"]):
            await database.execute(_PLANT, ADA, made["id"], 1)
            with statements_with(_IN_VAIN) as in_vain:
                may_answer.set()
                await eventually(count_of(in_vain), lambda seen: seen > 5)

        async def go_on() -> int:
            await worker.deliver_due()
            return len(failures_seen)

        await eventually(go_on, lambda seen: seen == 2)
        await worker.drain(60)
    await reader.close()

    assert failures_seen == [0, 1]
    assert await attempted(database) == {ADMIN: 1, ADA: 2, BOB: 1}


async def test_only_an_attempt_whose_lease_is_over_is_overtaken(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    may_answer = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    receiver.answers.update({f"/{owner}": answer for owner in OWNERS})
    await make_all(database_url, receiver, database, 5)
    with capture_logs() as logged:
        async with working(database_url) as worker:
            await worker.deliver_due()
            await database.execute("UPDATE deliveries SET lease = 6 WHERE owner_id = $1", ADA)
            may_answer.set()
            await worker.drain(60)

    overtaken = [one["delivery_id"] for one in logged if one["event"] == "attempt_overtaken"]
    theirs = await database.fetch("SELECT id FROM deliveries WHERE owner_id = $1", ADA)
    assert sorted(overtaken) == sorted(one["id"] for one in theirs)
    assert await delivered(database) == {ADMIN: 5, ADA: 0, BOB: 5}


async def test_locked_leases_of_one_owner_do_not_keep_the_others_unclaimed(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    await make_all(database_url, receiver, database, 5)
    await database.execute(_EXPIRE, ADA)
    reader = await connect(database_url)

    async with working(database_url) as worker:

        async def go_on() -> dict[int, int]:
            await worker.deliver_due()
            return await delivered(reader)

        async with database.transaction():
            await database.execute(_LOCK_ALL, ADA)
            found = await eventually(go_on, lambda seen: (seen[ADMIN], seen[BOB]) == (5, 5))

        async def go_on_to_the_end() -> int:
            await worker.deliver_due()
            finished = "SELECT count(finished_at) FROM deliveries"
            return int(await reader.fetchval(finished))

        await eventually(go_on_to_the_end, lambda seen: seen == 15)
        await worker.drain(60)
    await reader.close()

    attempts = await database.fetch(_ATTEMPTS, ADA)
    assert found[ADA] == 0
    assert [tuple(one) for one in attempts] == [(1, "interrupted", 5), (2, None, 5)]


@one_server("a claim in a cluster is of one shard")
async def test_a_claim_gives_up_few_deliveries_and_the_next_one_follows_at_once(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    await make_all(database_url, receiver, database, GIVE_UPS_PER_CLAIM // 2)
    await database.execute("UPDATE destinations SET deleted_at = now()")

    pauses, given_up = [], []
    async with working(database_url) as worker:
        for _ in range(2):
            pauses.append(await worker.deliver_due())
            given_up.append(await database.fetchval("SELECT count(finished_at) FROM deliveries"))

    assert given_up == [GIVE_UPS_PER_CLAIM, GIVE_UPS_PER_CLAIM // 2 * 3]
    assert pauses[0] == 0
    assert receiver.received == []


async def test_a_process_that_stood_still_after_its_claim_sends_nothing_late(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    await make_all(database_url, receiver, database, 40, max_concurrency=50)

    async with working(database_url) as worker:
        await worker.deliver_due()
        time.sleep(SEND_WITHIN + 0.1)  # noqa: ASYNC251
        left = "SELECT count(leased_until) FROM deliveries"
        await eventually(lambda: database.fetchval(left), lambda leased: leased == 0)
        await worker.drain(60)

    sent = await database.fetchval("SELECT count(*) FROM delivery_attempts")
    is_due = "next_attempt_at <= now() AND attempt_count = 0 AND status = 'pending'"
    put_back = await database.fetchval(f"SELECT count(*) FROM deliveries WHERE {is_due}")
    assert put_back > 0
    assert sent + put_back == 120
    assert len(receiver.received) == sent
