"""An owner's queued payloads have a limit in bytes; beyond it deliveries are given up at once."""

from typing import Any

import httpx
import pytest

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.retention import retain_deliveries
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
from tests.support.services import ADA, BOB, Service, running_service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

MOST = 10_000
LARGE = {"a": "x" * 6_000}
EXACT = "SELECT coalesce(sum(payload_size), 0) FROM delivery_payloads WHERE counted"
ALL = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {"max_backlog_bytes": MOST, "retry_after": (), **ALLOW_LOOPBACK}


class Crowd:
    """An owner whose backlog is full: two events wait for two disabled destinations."""

    def __init__(self, client: httpx.AsyncClient, service: Service, database: Any) -> None:
        self.client, self.database = client, database
        self._url = service.database_url
        self.destinations: list[int] = []
        self.trigger: dict[str, Any] = {}

    async def fill(self, url: str) -> None:
        for number in range(2):
            made = await make_destination(self.client, f"{url}/{number}")
            self.destinations.append(made["id"])
            await self.client.post(f"/destinations/{made['id']}/disable")
        self.trigger = await make_api(self.client, payload=LARGE, destinations=self.destinations)
        for _ in range(2):
            await fire(self.client, self.trigger)
        await self.count()

    async def count(self) -> None:
        await count_backlogs(self._url, most_bytes=MOST)

    async def bytes(self) -> int:
        return await self.database.fetchval("SELECT sum(bytes) FROM delivery_backlogs") or 0

    async def drain(self) -> None:
        for one in self.destinations:
            await self.client.post(f"/destinations/{one}/enable")
        await until_finished(self.client, 4, status="delivered")
        await self.count()


@pytest.fixture
async def crowd(
    ada: httpx.AsyncClient, service: Service, receiver: Receiver, database: Any
) -> Crowd:
    made = Crowd(ada, service, database)
    await made.fill(receiver.url)
    return made


async def test_beyond_the_limit_an_event_is_stored_and_its_deliveries_are_given_up(
    ada: httpx.AsyncClient, crowd: Crowd, database: Any
) -> None:
    before = await payloads_of(database)

    event_id = await fire(ada, crowd.trigger)

    stored = (await ada.get(f"/events/{event_id}")).json()
    found = [await read_delivery(ada, one["id"]) for one in await list_deliveries(ada)][:2]
    assert stored["payload"] == LARGE
    assert {one["event_id"] for one in found} == {event_id}
    for one in found:
        assert (one["status"], one["error"]) == ("exhausted", "backlog_full")
        assert (one["attempts"], one["next_attempt_at"]) == ([], None)
        assert one["finished_at"] is not None
    assert await payloads_of(database) == before


async def test_a_payload_counts_once_for_all_its_deliveries(crowd: Crowd, database: Any) -> None:
    sizes = await database.fetch("SELECT DISTINCT event_id, payload_size FROM deliveries")

    assert await crowd.bytes() == sum(row["payload_size"] for row in sizes) > MOST


async def test_a_full_backlog_is_its_owners_alone(
    crowd: Crowd, service: Service, receiver: Receiver
) -> None:
    bob = service.client(BOB)
    made = await make_destination(bob, receiver.url + "/bob")

    await fire(bob, await make_api(bob, payload=LARGE, destinations=[made["id"]]))

    [delivery] = await until_finished(bob)
    assert delivery["status"] == "delivered"


async def test_scheduled_events_have_the_same_limit(ada: httpx.AsyncClient, crowd: Crowd) -> None:
    details = {"interval": 1 / 60, "recurring": True}
    made = await ada.post(
        "/triggers",
        json={"type": "scheduled", "details": details, "destinations": crowd.destinations},
    )

    async def given_up() -> list[dict[str, Any]]:
        return await list_deliveries(ada, trigger_id=made.json()["id"], status="exhausted")

    found = await eventually(given_up, lambda some: len(some) >= 2)
    assert {one["error"] for one in found} == {"backlog_full"}


async def test_when_less_waits_deliveries_go_on_and_those_given_up_can_be_sent_again(
    ada: httpx.AsyncClient, crowd: Crowd, receiver: Receiver, database: Any
) -> None:
    for _ in range(3):
        await fire(ada, crowd.trigger)
    given_up = await list_deliveries(ada, status="exhausted")
    await crowd.drain()
    drained = await crowd.bytes()

    await fire(ada, crowd.trigger)
    one = await ada.post(f"/deliveries/{given_up[0]['id']}/redeliver")
    rest = [
        (await ada.post(f"/destinations/{destination}/redeliver", json=ALL)).json()["count"]
        for destination in crowd.destinations
    ]

    await until_finished(ada, 12, status="delivered")
    await crowd.count()
    assert (drained, one.status_code, sum(rest)) == (0, 202, 5)
    assert len(receiver.received) == 12
    assert await payloads_of(database) == []
    assert await crowd.bytes() == 0


async def test_exhausted_deliveries_are_not_stored_again_while_the_backlog_is_full(
    ada: httpx.AsyncClient, crowd: Crowd, database: Any
) -> None:
    before = await payloads_of(database)
    await fire(ada, crowd.trigger)
    given_up = (await list_deliveries(ada, status="exhausted"))[0]

    answer = await ada.post(f"/deliveries/{given_up['id']}/redeliver")
    path = f"/destinations/{given_up['destination_id']}/redeliver"
    many = await ada.post(path, json=ALL)

    problem = problem_of(answer, 409)
    assert problem["type"] == "urn:event-trigger:problem:backlog-full"
    assert f"{await crowd.bytes()} of at most {MOST} bytes" in problem["detail"]
    assert "EVENT_TRIGGER_MAX_BACKLOG_BYTES" in problem["detail"]
    assert many.json() == {"count": 0}
    assert await payloads_of(database) == before
    assert (await read_delivery(ada, given_up["id"]))["error"] == "backlog_full"


async def test_an_exhausted_delivery_without_payload_is_gone_with_its_event(
    ada: httpx.AsyncClient, crowd: Crowd, database: Any
) -> None:
    await fire(ada, crowd.trigger)
    given_up = (await list_deliveries(ada, status="exhausted"))[0]
    await crowd.drain()
    await purge_events(database)

    answer = await ada.post(f"/deliveries/{given_up['id']}/redeliver")
    path = f"/destinations/{given_up['destination_id']}/redeliver"
    many = await ada.post(path, json=ALL)

    assert problem_of(answer, 409)["type"] == "urn:event-trigger:problem:payload-gone"
    assert many.json() == {"count": 0}


async def test_a_payload_of_other_exhausted_deliveries_is_kept_but_does_not_count(
    ada: httpx.AsyncClient, crowd: Crowd, database: Any
) -> None:
    kept = await payloads_of(database)
    for one in crowd.destinations:
        await ada.delete(f"/destinations/{one}")
    await until_finished(ada, 4)

    await crowd.count()

    assert await payloads_of(database) == kept
    assert await crowd.bytes() == 0


async def test_payloads_go_when_retention_has_purged_their_deliveries(
    ada: httpx.AsyncClient, crowd: Crowd, service: Service, database: Any
) -> None:
    for one in crowd.destinations:
        await ada.delete(f"/destinations/{one}")
    await until_finished(ada, 4)
    await database.execute("UPDATE deliveries SET finished_at = now() - interval '8 days'")
    engine = create_engine(service.database_url)
    sessions = create_sessions(engine)

    await retain_deliveries(sessions, service.settings.keep_for)
    await engine.dispose()
    await crowd.count()

    assert await list_deliveries(ada) == []
    assert await payloads_of(database) == []
    assert await crowd.bytes() == 0


async def test_the_count_is_exact_however_often_processes_count(
    ada: httpx.AsyncClient, crowd: Crowd, database: Any
) -> None:
    await ada.post(f"/destinations/{crowd.destinations[0]}/enable")
    for _ in range(3):
        await crowd.count()
        assert await crowd.bytes() == await database.fetchval(EXACT)

    await crowd.drain()

    assert await crowd.bytes() == await database.fetchval(EXACT) == 0


@pytest.mark.parametrize("most", [0, MOST * 10])
async def test_the_limit_can_be_raised_or_taken_away(
    database_url: str, database: Any, most: int
) -> None:
    async with running_service(database_url, max_backlog_bytes=MOST) as service:
        crowd = Crowd(service.client(ADA), service, database)
        await crowd.fill("https://example.com")
    full = await database.fetchval("SELECT is_full FROM delivery_backlogs")

    async with running_service(database_url, max_backlog_bytes=most) as service:

        async def is_full() -> bool:
            return bool(await database.fetchval("SELECT is_full FROM delivery_backlogs"))

        await eventually(is_full, lambda said: not said)
        await fire(service.client(ADA), crowd.trigger)
        given_up = await list_deliveries(service.client(ADA), status="exhausted")

    assert (full, given_up) == (True, [])
