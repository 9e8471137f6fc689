"""A payload is stored once for its event, as long as a delivery needs it, and never lost."""

import json
import random
from typing import Any

import asyncpg
import httpx
import pytest
from aiohttp import web

from tests.support.backlogs import count_backlogs, payloads_of, purge_events
from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    read_delivery,
    until_finished,
)
from tests.support.problems import problem_of
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, Service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
PLANTED = 1_000_000_007  # an event that no test fires: a lent service's ids go on
PLANT = f"""
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload, payload_size)
    VALUES ($1::bigint % 64, $1, $2, 1, {PLANTED}, 'api', now(), false, $3::json, 100)
"""


@pytest.fixture
def service_settings() -> dict[str, Any]:
    """Tries once only, so that a failure is soon exhausted."""
    return {"retry_after": (), **ALLOW_LOOPBACK}


async def make_disabled(ada: httpx.AsyncClient, url: str) -> int:
    made = await make_destination(ada, url)
    await ada.post(f"/destinations/{made['id']}/disable")
    return int(made["id"])


def data_of(receiver: Receiver) -> list[Any]:
    return [json.loads(one.body)["data"] for one in receiver.received]


async def test_many_destinations_store_an_events_payload_once(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    made = [await make_disabled(ada, f"{receiver.url}/{number}") for number in range(20)]
    payload = {"a": random.Random(1).randbytes(100_000).hex()}
    trigger = await make_api(ada, payload=payload, destinations=made)
    before = await database.fetchval(SIZE)

    await fire(ada, trigger)

    grown = await database.fetchval(SIZE) - before
    assert grown < 5 * 200_000
    for one in made:
        await ada.post(f"/destinations/{one}/enable")
    await until_finished(ada, 20)
    assert data_of(receiver) == [payload] * 20


async def test_an_event_without_a_payload_is_delivered_without_one(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")

    await fire(ada, await make_api(ada, destinations=[made["id"]]))

    await until_finished(ada)
    assert data_of(receiver) == [None]
    assert await payloads_of(database) == []


async def test_a_delivery_that_waits_is_sent_after_its_event_was_purged(
    ada: httpx.AsyncClient, service: Service, receiver: Receiver, database: Any
) -> None:
    made = await make_disabled(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, payload={"a": None}, destinations=[made]))
    await purge_events(database)
    await count_backlogs(service.database_url)

    await ada.post(f"/destinations/{made}/enable")

    await until_finished(ada)
    assert data_of(receiver) == [{"a": None}]


async def test_a_payload_goes_when_all_have_it_and_comes_back_to_be_sent_again(
    ada: httpx.AsyncClient, service: Service, receiver: Receiver, database: Any
) -> None:
    first = await make_destination(ada, receiver.url + "/first")
    later = await make_disabled(ada, receiver.url + "/later")
    trigger = await make_api(ada, payload={"a": 1}, destinations=[first["id"], later])
    event_id = await fire(ada, trigger)
    [delivery] = await until_finished(ada)
    await count_backlogs(service.database_url)
    waiting = await payloads_of(database)
    await ada.post(f"/destinations/{later}/enable")
    await until_finished(ada, 2)

    await count_backlogs(service.database_url)
    left = await payloads_of(database)
    await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    await eventually(lambda: received_by(receiver), lambda count: count == 3)
    assert (waiting, left) == ([event_id], [])
    assert data_of(receiver) == [{"a": 1}] * 3


async def received_by(receiver: Receiver) -> int:
    return len(receiver.received)


async def test_an_exhausted_delivery_keeps_its_payload_longer_than_its_event(
    ada: httpx.AsyncClient, service: Service, receiver: Receiver, database: Any
) -> None:
    receiver.answers["/hook"] = 500
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, payload={"a": 1}, destinations=[made["id"]])
    for _ in range(2):
        await fire(ada, trigger)
    one, _ = await until_finished(ada, 2)
    await purge_events(database)
    await count_backlogs(service.database_url)
    receiver.answers.clear()
    receiver.received.clear()

    answer = await ada.post(f"/deliveries/{one['id']}/redeliver")
    span = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    rest = await ada.post(f"/destinations/{made['id']}/redeliver", json=span)

    await until_finished(ada, 2, status="delivered")
    assert (answer.status_code, rest.json()) == (202, {"count": 1})
    assert data_of(receiver) == [{"a": 1}] * 2


async def test_a_delivered_delivery_is_not_sent_again_without_its_event(
    ada: httpx.AsyncClient, service: Service, receiver: Receiver, database: Any
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, payload={"a": 1}, destinations=[made["id"]]))
    [delivery] = await until_finished(ada)
    await count_backlogs(service.database_url)
    await purge_events(database)

    answer = await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    problem = problem_of(answer, 409)
    assert problem["type"] == "urn:event-trigger:problem:payload-gone"
    assert (await read_delivery(ada, delivery["id"]))["status"] == "delivered"


async def test_a_payload_that_is_nowhere_is_on_record_and_null_is_not_sent(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    made = await make_disabled(ada, receiver.url + "/hook")
    trigger = await make_api(ada, payload={"a": 1}, destinations=[made])
    await fire(ada, trigger)
    await database.execute("DELETE FROM delivery_payloads")
    await fire(ada, trigger)

    await ada.post(f"/destinations/{made}/enable")

    lost, sent = await until_finished(ada, 2)
    assert (lost["status"], lost["error"], lost["attempts"]) == ("exhausted", "payload_gone", [])
    assert sent["status"] == "delivered"
    assert data_of(receiver) == [{"a": 1}]


async def test_a_delivery_that_the_version_before_stored_is_sent_and_sent_again(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    await database.execute(PLANT, ADA, made["id"], '{"a": "before"}')
    await database.execute("NOTIFY event_trigger_deliveries")
    [delivery] = await until_finished(ada)

    answer = await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    assert answer.status_code == 202
    await eventually(lambda: received_by(receiver), lambda count: count == 2)
    assert data_of(receiver) == [{"a": "before"}] * 2


async def test_the_version_before_cannot_take_a_lease_without_knowing_the_payload(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    made = await make_disabled(ada, receiver.url + "/hook")
    with_payload = await make_api(ada, payload={"a": 1}, destinations=[made])
    without = await make_api(ada, destinations=[made])
    first, second = await fire(ada, with_payload), await fire(ada, without)
    await database.execute(PLANT, ADA, made, '{"a": "before"}')

    lease = "UPDATE deliveries SET lease = lease + 1 WHERE event_id = $1"
    for event_id in (second, PLANTED):
        await database.execute(lease, event_id)
    with pytest.raises(asyncpg.CheckViolationError, match="payload_known"):
        await database.execute(lease, first)


async def test_a_redelivery_that_comes_while_the_payload_goes_has_it(
    ada: httpx.AsyncClient, service: Service, receiver: Receiver, database: Any
) -> None:
    """In either order."""

    async def look(_: web.Request) -> web.StreamResponse:
        return web.Response()

    receiver.answers["/hook"] = look
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, payload={"a": 1}, destinations=[made["id"]])
    for _ in range(5):
        await fire(ada, trigger)
    await until_finished(ada, 5)

    for one in await list_deliveries(ada):
        answer = await ada.post(f"/deliveries/{one['id']}/redeliver")
        assert answer.status_code == 202
        await count_backlogs(service.database_url)

    await eventually(lambda: received_by(receiver), lambda count: count == 10)
    assert data_of(receiver) == [{"a": 1}] * 10
