"""On a cluster, the service uses statements that do not depend on the server that stores a row.

A plain database stands in for a cluster (tests/support/citus.py), in which nothing is distributed:
the tests show the statements that the service chooses there, and that they work.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.citus import look_distributed
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.planting import plant_triggers
from tests.support.reading import read_all
from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving
from tests.support.services import ADA, BOB, Service, running_service
from tests.support.shards import ONE_SERVER, ShardWatch
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

_FAIL_ONCE = """
    CREATE SEQUENCE tried;
    CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF nextval('tried') = 1 THEN RAISE division_by_zero; END IF; RETURN NEW; END $$;
    CREATE TRIGGER fail_once BEFORE INSERT ON delivery_attempts FOR EACH ROW
        EXECUTE FUNCTION fail_once();
"""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def service(database_url: str, database: Any) -> AsyncIterator[Service]:
    await look_distributed(database)
    async with running_service(database_url, **ALLOW_LOOPBACK) as running:
        yield running


async def test_deliveries_are_found_one_shard_at_a_time(
    service: Service, receiver: Receiver, shard_watch: ShardWatch
) -> None:
    for owner in (ADA, BOB):
        client = service.client(owner)
        made = await make_destination(client, f"{receiver.url}/{owner}")
        await fire(client, await make_api(client, destinations=[made["id"]]))

    await until_finished(service.client(ADA))
    await until_finished(service.client(BOB))

    assert len(receiver.received) == 2
    assert ONE_SERVER not in shard_watch.reasons


async def test_every_kind_of_event_is_stored_and_delivered(
    service: Service, receiver: Receiver, shard_watch: ShardWatch
) -> None:
    client = service.client(ADA)
    made = await make_destination(client, receiver.url)
    called = await make_api(client, destinations=[made["id"]])
    fired = await fire(client, called)
    await fire(client, called, "test")
    replayed = await client.post(f"/events/{fired}/replay")
    planned = {"interval": "PT1S", "recurring": True, "max_fires": 1}
    await make_scheduled(client, planned, destinations=[made["id"]])

    await until_finished(client, 4)

    assert replayed.status_code == 201
    assert len(receiver.received) == 4
    assert (await client.get(f"/triggers/{called['id']}")).json()["fire_count"] == 1
    assert ONE_SERVER not in shard_watch.reasons


async def test_instants_that_do_not_fire_and_attempts_are_recorded_and_counted(
    service: Service, receiver: Receiver, database: Any
) -> None:
    client = service.client(ADA)
    missed = datetime.now(UTC) - timedelta(hours=5)
    planted = await plant_triggers(database, 3, due_at=missed)
    made = await make_destination(client, receiver.url)
    called = await make_api(client, destinations=[made["id"]])
    for _ in range(2):
        await fire(client, called)

    await until_finished(client, 2)
    ranges = await eventually(
        lambda: database.fetch("SELECT trigger_id, count FROM unfired_ranges WHERE shard = 2"),
        lambda rows: len(rows) == len(planted),
    )

    attempts = await database.fetch("SELECT number, error FROM delivery_attempts WHERE shard = 2")
    counted = await database.fetch(
        "SELECT measure, CAST(sum(count) AS int) AS count FROM minute_counts"
        " WHERE shard = 2 AND owner_id = 2 AND measure IN ('attempts', 'unfired') GROUP BY measure"
    )
    assert {row["trigger_id"] for row in ranges} == {*planted}
    assert [tuple(row) for row in attempts] == [(1, None)] * 2
    assert {row["measure"]: row["count"] for row in counted} == {
        "attempts": 2,
        "unfired": sum(row["count"] for row in ranges),
    }


async def test_a_record_that_fails_halfway_leaves_nothing_behind(
    service: Service, receiver: Receiver, database: Any
) -> None:
    await database.execute(_FAIL_ONCE)
    client = service.client(ADA)
    made = await make_destination(client, receiver.url)

    await fire(client, await make_api(client, destinations=[made["id"]]))
    await eventually(lambda: database.fetchval("SELECT is_called FROM tried"), bool)

    [recorded] = await database.fetch(
        "SELECT status, attempt_count, (SELECT count(*) FROM delivery_attempts) FROM deliveries"
    )
    assert tuple(recorded) == ("pending", 0, 0)


async def test_the_transaction_of_an_event_is_asked_of_one_server_for_all(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await database.execute("ALTER TABLE events ALTER COLUMN xid SET DEFAULT -1")  # a worker's own
    await make_scheduled(ada, {"interval": "PT1S"})
    await fire(ada, await make_api(ada))

    await eventually(lambda: read_all(ada, "/events"), lambda events: len(events) == 2)

    rows = await database.fetch("SELECT xid FROM events")
    assert all(row["xid"] > 0 for row in rows)
